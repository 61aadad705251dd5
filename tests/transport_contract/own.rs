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
    // 512 KiB in the send buffer here and 2 MiB in the receive buffer there.
    assert!(held <= 5 << 19, "{held} bytes");
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
