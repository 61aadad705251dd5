//! What one transport alone promises.

use super::*;

#[test]
fn tcp_listens_at_a_real_port_and_is_found_by_name() {
    let listener = Tcp.listen("localhost:0").unwrap();
    let address = listener.address();
    let port: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
    assert_ne!(port, 0);
    // A name can stand for several addresses; one that refuses does not stop the others.
    let here = Tcp.dial(&format!("localhost:{port}"), DONE_WITHIN, &Cancel::default()).unwrap();
    assert_eq!(here.remote(), address);
    listener.accept().unwrap();
}

#[test]
fn tcp_says_which_address_failed() {
    let (nobody, _held) = lines::tcp().nobody;
    let error = Tcp.dial(&nobody, DONE_WITHIN, &Cancel::default()).err().unwrap();
    assert!(error.to_string().contains(&nobody), "{error}");
    let error = Tcp.listen("robot").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_tcp_listener_for_both_kinds_shows_ipv4_peers_as_such() {
    let Ok(listener) = Tcp.listen("[::]:0") else { return };
    let port = listener.address().rsplit(':').next().unwrap().to_owned();
    let _here = Tcp.dial(&format!("127.0.0.1:{port}"), DONE_WITHIN, &Cancel::default()).unwrap();
    assert!(listener.accept().unwrap().remote().starts_with("127.0.0.1:"));
}

#[test]
fn a_stalled_tcp_peer_holds_a_bounded_number_of_bytes() {
    let line = lines::tcp();
    let (here, _there) = line.pair();
    let mut held = 0;
    while let Ok(taken) = here.try_write(&[0; 16 * 1024]) {
        held += taken;
    }
    println!("{held} bytes");
    // Its window at first, and what is not sent.
    assert!(held <= 5 << 19, "{held} bytes");
}

/// Where the system drops what finds no room at a program that stands still, it waits longer and longer before it sends that
/// again, also once there is room; and gives the connection up in the end.
#[test]
#[cfg(target_os = "linux")]
fn what_is_sent_to_a_program_that_stands_still_waits_and_is_not_dropped() {
    const READ: usize = 64 << 20;
    /// More than a link sends before its peer acknowledges it.
    const SENT: usize = 9 << 18;
    let line = lines::tcp();
    for size in [200, 2000, 8000] {
        let (here, there) = line.pair();
        let read = |count: usize| {
            let there = there.clone();
            start(move || {
                let (mut left, mut buffer) = (count, vec![0; 64 * 1024]);
                while left > 0 {
                    let end = left.min(buffer.len());
                    left -= there.read(&mut buffer[..end]).unwrap();
                }
            })
        };
        // It read well before, so that its window is large.
        let reader = read(READ);
        let mut left = READ;
        while left > 0 {
            left -= here.write(&vec![0; left.min(16 * 1024)]).unwrap();
        }
        waited_for("read", DONE_WITHIN, reader);
        let (piece, mut held) = (vec![0; size], 0);
        loop {
            while held < SENT {
                match here.try_write(&piece) {
                    Ok(taken) => held += taken,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{size} bytes each, {held} in all: {error}"),
                }
            }
            match outgoing(&there.remote()) {
                Outgoing::Taken if held >= SENT => break,
                Outgoing::AsksForRoom => break,
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        println!("{size} bytes each, {held} in all");
        waited_for("read", DONE_WITHIN, read(held));
    }
}

/// What the system does with what was written.
#[cfg(target_os = "linux")]
enum Outgoing {
    /// Nothing: the other side has all of it.
    Taken,
    /// It asks now and then whether the other side has room for it.
    AsksForRoom,
    /// It waits for an answer to what it sent, and sends it again if none comes.
    Sent,
}

/// The same of the connection from this address.
#[cfg(target_os = "linux")]
fn outgoing(local: &str) -> Outgoing {
    let port: u16 = local.rsplit(':').next().unwrap().parse().unwrap();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row[1].ends_with(&format!(":{port:04X}"))).expect("the system gave it up");
    // See proc_net_tcp in the kernel's documentation: the queues, and which timer runs.
    match (row[4], row[5]) {
        (queues, _) if queues.starts_with("00000000:") => Outgoing::Taken,
        (_, timer) if timer.starts_with("04:") => Outgoing::AsksForRoom,
        _ => Outgoing::Sent,
    }
}

#[test]
fn a_memory_connection_holds_as_much_as_is_said() {
    let (here, _there) = bowline::transport::memory::pair();
    let mut held = 0;
    while let Ok(taken) = here.try_write(&[0; 1000]) {
        held += taken;
    }
    assert_eq!(held, bowline::transport::memory::PIPE_BYTES);
}

#[test]
fn a_waiting_thread_is_woken_by_cancel() {
    let cancel = Cancel::default();
    assert!(!cancel.wait(Duration::ZERO));
    let waiting = start({
        let cancel = cancel.clone();
        move || cancel.wait(Duration::MAX)
    });
    assert_waits("wait", &waiting);
    cancel.cancel();
    assert!(waited_for("wait", WOKEN_WITHIN, waiting));
}
