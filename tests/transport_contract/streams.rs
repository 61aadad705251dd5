//! Bytes on their way, and the end of a stream.

use super::*;

pub fn bytes_arrive_in_order_and_whole_both_ways_at_once(line: &Line) {
    const LENGTH: usize = 4 << 20;
    let seed =
        std::env::var("BOWLINE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("BOWLINE_SEED={seed}");
    let (here, there) = line.pair();
    let (to_there, to_here) = (Arc::new(noise(seed, LENGTH)), Arc::new(noise(seed ^ 1, LENGTH)));
    let mut running = Vec::new();
    for (connection, outgoing, incoming, seed) in [
        (here.clone(), to_there.clone(), to_here.clone(), seed ^ 2),
        (there.clone(), to_here, to_there, seed ^ 4),
    ] {
        let writing = connection.clone();
        running.push(start(move || write_in_pieces(&*writing, &outgoing, seed)));
        let (done, read) = channel();
        running.push(read);
        thread::spawn(move || {
            read_in_pieces(&*connection, &incoming, seed ^ 1);
            let _ = done.send(());
            // What acknowledges the other direction comes this way too, where the transport is no stream.
            while matches!(connection.read(&mut [0; 64]), Ok(1..)) {}
        });
    }
    for side in running {
        waited_for("one direction", DONE_WITHIN, side);
    }
    here.close();
    there.close();
}

pub fn several_buffers_are_written_and_read_in_order(line: &Line) {
    let (here, there) = line.pair();
    let parts: [&[u8]; 4] = [b"", b"fast", b" ", b"hitch"];
    let mut sent = 0;
    while sent < 10 {
        let mut skip = sent;
        let rest: Vec<_> = parts
            .iter()
            .map(|part| {
                let from = skip.min(part.len());
                skip -= from;
                IoSlice::new(&part[from..])
            })
            .collect();
        sent += here.write_vectored(&rest).unwrap();
    }
    here.close();
    let mut bytes = Vec::new();
    loop {
        let (mut a, mut b) = ([0; 3], [0; 64]);
        let mut buffers = [IoSliceMut::new(&mut []), IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
        let length = there.read_vectored(&mut buffers).unwrap();
        if length == 0 {
            break;
        }
        bytes.extend_from_slice(&[&a[..], &b[..]].concat()[..length]);
    }
    assert_eq!(bytes, b"fast hitch");
}

pub fn try_write_never_waits_and_keeps_the_order(line: &Line) {
    let (here, there) = line.pair();
    let bytes = noise(7, 32 << 20);
    let first = 1000;
    write_all(&*here, &bytes[..first]);
    let filling = start(move || {
        let mut at = first;
        let error = loop {
            let end = (at + 50_000).min(bytes.len());
            match here.try_write(&bytes[at..end]) {
                Ok(taken) => at += taken,
                Err(error) => break error,
            }
            assert!(at < bytes.len(), "a peer that reads nothing cannot take everything");
        };
        (here, bytes, at, error)
    });
    let (here, bytes, at, error) = waited_for("try_write", DONE_WITHIN, filling);
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let again = start({
        let here = here.clone();
        move || here.try_write(b"x").map_err(|e| e.kind())
    });
    let one_more = match waited_for("try_write", WOKEN_WITHIN, again) {
        Ok(1) => true, // the system moved bytes on meanwhile
        Err(ErrorKind::WouldBlock) => false,
        other => panic!("{other:?}"),
    };
    let reading = start(move || read_to_end(&*there));
    write_all(&*here, b"the end");
    here.close();
    let got = waited_for("the reader", DONE_WITHIN, reading);
    let expected = [&bytes[..at], if one_more { b"x" } else { b"" }, b"the end"].concat();
    assert!(got == expected, "{} bytes came of {}", got.len(), expected.len());
}

// ------------------------------------------------------------------------------ the end of a stream

pub fn read_returns_0_after_the_peer_closed_and_all_was_read(line: &Line) {
    let listener = line.listen();
    for drop_instead in [false, true] {
        let (here, there) = line.pair_at(&listener);
        write_all(&*here, b"last words");
        if !drop_instead {
            here.close();
        }
        let kept = (!drop_instead).then_some(here);
        let reading = start(move || (read_to_end(&*there), there.read(&mut [0; 8]).unwrap()));
        assert_eq!(waited_for("read", WOKEN_WITHIN, reading), (b"last words".to_vec(), 0));
        drop(kept);
    }
}

pub fn a_write_to_a_peer_that_closed_fails_and_nothing_else_happens(line: &Line) {
    let (here, there) = line.pair();
    there.close();
    drop(there);
    let writing = start(move || {
        loop {
            if let Err(error) = here.write(&[0; 1000]) {
                break (error.kind(), here.try_write(&[0; 1000]).is_err());
            }
        }
    });
    let (kind, try_failed) = waited_for("write", WOKEN_WITHIN, writing);
    assert!(matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{kind:?}");
    assert!(try_failed);
}

pub fn close_wakes_a_blocked_read(line: &Line) {
    let (here, there) = line.pair();
    let reading = start({
        let here = here.clone();
        move || here.read(&mut [0; 8])
    });
    assert_waits("read", &reading);
    here.close();
    // How it ends is left to the transport; that nothing was read is not.
    assert!(matches!(waited_for("read", WOKEN_WITHIN, reading), Ok(0) | Err(_)));
    drop(there);
}

pub fn close_wakes_a_blocked_write(line: &Line) {
    let (here, there) = line.pair();
    let (progress, seen) = channel();
    let writing = start({
        let here = here.clone();
        move || {
            loop {
                match here.write(&[0; 10_000]) {
                    Ok(_) => progress.send(()).unwrap(),
                    Err(error) => break error.kind(),
                }
            }
        }
    });
    while seen.recv_timeout(SEEN_TO_WAIT) != Err(RecvTimeoutError::Timeout) {}
    assert_waits("write", &writing);
    here.close();
    let kind = waited_for("write", WOKEN_WITHIN, writing);
    assert!(!matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted), "{kind:?} would be tried again");
    drop(there);
}

pub fn a_peer_that_closes_wakes_a_blocked_read_and_write(line: &Line) {
    let (here, there) = line.pair();
    let reading = start({
        let here = here.clone();
        move || here.read(&mut [0; 8])
    });
    let writing = start(move || while here.write(&[0; 10_000]).is_ok() {});
    assert_waits("read", &reading);
    assert_waits("write", &writing);
    there.close();
    drop(there);
    assert!(matches!(waited_for("read", WOKEN_WITHIN, reading), Ok(0) | Err(_)));
    waited_for("write", WOKEN_WITHIN, writing);
}

pub fn a_blocked_write_does_not_hold_up_reading(line: &Line) {
    let (here, there) = line.pair();
    let writing = start({
        let here = here.clone();
        move || while here.write(&[0; 10_000]).is_ok() {}
    });
    assert_waits("write", &writing);
    write_all(&*there, b"still here");
    let reading = start({
        let here = here.clone();
        move || {
            let mut buffer = [0; 10];
            let mut at = 0;
            while at < buffer.len() {
                at += here.read(&mut buffer[at..]).unwrap();
            }
            buffer
        }
    });
    assert_eq!(&waited_for("read", WOKEN_WITHIN, reading), b"still here");
    here.close();
    waited_for("write", WOKEN_WITHIN, writing);
}

pub fn close_can_be_called_by_many_threads_at_once(line: &Line) {
    let (here, there) = line.pair();
    let reading = start({
        let here = here.clone();
        move || here.read(&mut [0; 8])
    });
    let barrier = Arc::new(Barrier::new(8));
    let closing: Vec<_> = (0..8)
        .map(|_| {
            let (here, barrier) = (here.clone(), barrier.clone());
            start(move || {
                barrier.wait();
                here.close();
                here.close();
            })
        })
        .collect();
    for one in closing {
        waited_for("close", WOKEN_WITHIN, one);
    }
    let _ = waited_for("read", WOKEN_WITHIN, reading);
    let after =
        start(move || (here.write(b"x").is_err(), here.try_write(b"x").is_err(), here.read(&mut [0; 8])));
    let (write, try_write, read) = waited_for("calls after close", WOKEN_WITHIN, after);
    assert!(write && try_write && matches!(read, Ok(0) | Err(_)));
    assert_eq!(waited_for("the peer", WOKEN_WITHIN, start(move || read_to_end(&*there))), b"");
}
