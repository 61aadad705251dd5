//! Connections over a pair of ports within this process, which loses what it is told to.

use super::*;
use crate::flow::courier::Frames;
use crate::wire::control::{Accept, Control, Hello, Notify};
use crate::wire::message::put_message_head;
use crate::wire::{Frame, Limits, Split, Stamp, decode, encode, split};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// One direction of a line.
#[derive(Default)]
struct Way {
    content: Mutex<Content>,
    arrived: Condvar,
}

#[derive(Default)]
struct Content {
    packets: VecDeque<Vec<u8>>,
    closed: bool,
    count: u64,
    woken: bool,
}

struct TestPort {
    into: Arc<Way>,
    out: Arc<Way>,
    /// Every so many packets one is lost; 0: none.
    loss: u64,
    rate: Option<u64>,
}

impl Port for TestPort {
    fn receive(&self, buffer: &mut [u8], timeout: Duration) -> io::Result<Option<usize>> {
        let end = Instant::now() + timeout;
        let mut content = self.into.content.lock();
        loop {
            if let Some(packet) = content.packets.pop_front() {
                buffer[..packet.len()].copy_from_slice(&packet);
                return Ok(Some(packet.len()));
            }
            if content.closed {
                return Ok(Some(0));
            }
            if std::mem::take(&mut content.woken)
                || self.into.arrived.wait_until(&mut content, end).timed_out()
            {
                return Ok(None);
            }
        }
    }

    fn send(&self, packet: &[u8]) -> io::Result<()> {
        let mut content = self.out.content.lock();
        if content.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        content.count += 1;
        let lost = self.loss > 0 && content.count % self.loss == 0;
        // At a pace there are never many but where the reader does not get to run, which is not what is tested.
        let most = if self.rate.is_some() { 10_000 } else { 64 };
        if !lost && content.packets.len() < most {
            content.packets.push_back(packet.to_vec());
        }
        drop(content);
        self.out.arrived.notify_one();
        Ok(())
    }

    fn try_send(&self, packet: &[u8]) -> io::Result<()> {
        self.send(packet)
    }

    fn wake(&self) {
        self.into.content.lock().woken = true;
        self.into.arrived.notify_one();
    }

    fn close(&self) {
        for way in [&self.into, &self.out] {
            way.content.lock().closed = true;
            way.arrived.notify_all();
        }
    }

    fn remote(&self) -> String {
        "there".into()
    }

    fn rate(&self) -> Option<u64> {
        self.rate
    }
}

type TestConnection = Arc<PacketConnection<TestPort>>;

fn pair(loss: u64, rate: Option<u64>) -> (TestConnection, TestConnection) {
    let (there, back) = (Arc::<Way>::default(), Arc::<Way>::default());
    let settings = Settings {
        fifo: true,
        packet: 256,
        window_in: 16 * 1024,
        window_out: 16 * 1024,
        rate,
        frames: if rate.is_some() { Frames::Single } else { Frames::Many },
        overhead: 7,
    };
    let here = TestPort { into: back.clone(), out: there.clone(), loss, rate };
    let far = TestPort { into: there, out: back, loss, rate };
    (
        Arc::new(PacketConnection::new(here, settings, 256)),
        Arc::new(PacketConnection::new(far, settings, 256)),
    )
}

fn start<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (done, result) = channel();
    thread::spawn(move || done.send(call()));
    result
}

fn waited_for<T>(result: Receiver<T>) -> T {
    result.recv_timeout(Duration::from_secs(60)).expect("it takes too long")
}

fn write_all(connection: &TestConnection, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = connection.write(bytes)?;
        bytes = &bytes[count..];
    }
    Ok(())
}

/// Reads so many bytes.
fn read_all(connection: &TestConnection, count: usize) -> Vec<u8> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    while bytes.len() < count {
        let count = connection.read(&mut chunk).expect("reads");
        assert!(count > 0, "it ended");
        bytes.extend_from_slice(&chunk[..count]);
    }
    bytes
}

#[test]
fn a_writer_is_not_stuck_where_its_side_tends_the_line_and_reads_nothing() {
    for (loss, rate) in [(0, None), (5, None), (7, Some(1_000_000))] {
        let (here, far) = pair(loss, rate);
        // No frames: all of it goes in the repaired stream, which is more than that holds.
        let wanted: Vec<u8> = (0..100_000_u32).map(|n| 0x80 | n as u8).collect();
        let (writing, bytes) = (Arc::clone(&here), wanted.clone());
        let writer = thread::spawn(move || write_all(&writing, &bytes));
        let (reading, count) = (Arc::clone(&far), wanted.len());
        let came = start(move || read_all(&reading, count));
        far.write(&[0xFF; 100]).expect("writes");
        here.tend(&|| !writer.is_finished());
        writer.join().expect("writes").expect("writes");
        // What was not acknowledged by then is left to the next reader, as is what came.
        let reading = Arc::clone(&here);
        let back = start(move || read_all(&reading, 100));
        assert_eq!(waited_for(back), [0xFF; 100]);
        let reading = Arc::clone(&here);
        thread::spawn(move || reading.read(&mut [0; 1]));
        assert_eq!(waited_for(came), wanted);
        here.close();
        far.close();
    }
}

fn opening() -> Vec<u8> {
    let mut bytes = Vec::new();
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        capabilities: 0,
        instance: [1; 16],
        session: 0,
        scope_own: false,
        joins: false,
        max_frame: 100_000,
        ping_millis: 1000,
        clock: crate::time::now(),
        path: crate::path::Path::parse("a.b").unwrap(),
        expected: None,
    };
    encode(&mut bytes, &Control::Hello(hello));
    encode(&mut bytes, &Control::Accept(Accept { version: 1, capabilities: 0, session: 7 }));
    encode(&mut bytes, &Control::Notify(Notify::Linked { mine: 0, yours: 0, alias: 3 }));
    encode(&mut bytes, &Control::Notify(Notify::Linked { mine: 1, yours: 1, alias: 4 }));
    bytes
}

/// What a reader got: lossless payload bytes, and loose samples with those told to be lost.
#[derive(Default)]
struct Got {
    lossless: Vec<u8>,
    loose: u64,
    lost: u64,
}

/// Reads frames until END of alias 3.
fn read_to_end(connection: &TestConnection) -> Got {
    let (mut got, mut buffer, mut filled) = (Got::default(), vec![0; 300_000], 0);
    loop {
        let count = connection.read(&mut buffer[filled..]).unwrap();
        assert!(count > 0, "it ended early");
        filled += count;
        let mut used = 0;
        while let Split::Frame { frame, consumed } =
            split(&buffer[used..filled], Limits::agreed(100_000)).expect("only frames come out")
        {
            used += consumed;
            match frame {
                Frame::Message { alias: 4, payload, .. } => got.lossless.extend_from_slice(payload),
                Frame::Message { .. } => got.loose += 1,
                Frame::Control { kind, body } => match decode(kind, body).unwrap() {
                    Control::Lost { count, .. } => got.lost += count,
                    Control::End { .. } => return got,
                    _ => {}
                },
            }
        }
        buffer.copy_within(used..filled, 0);
        filled -= used;
    }
}

/// Reads on, so that acknowledgements are heard, until the connection ends.
fn drain(connection: &TestConnection) {
    while connection.read(&mut [0; 1000]).is_ok_and(|count| count > 0) {}
}

/// Both ways at once: bytes of a lossless alias, samples of a loose one.
fn exchange(loss: u64, rate: Option<u64>, rounds: u64, size: usize) {
    let (here, there) = pair(loss, rate);
    let mut ends = Vec::new();
    for (from, to) in [(&here, &there), (&there, &here)] {
        let (writer, reader) = (from.clone(), to.clone());
        let writing = start(move || {
            writer.lane(3, false);
            write_all(&writer, &opening()).unwrap();
            let mut random = fastrand::Rng::with_seed(1);
            for round in 0..rounds {
                let mut bytes = Vec::new();
                put_message_head(&mut bytes, 3, Stamp(1), 20);
                bytes.extend([round as u8; 20]);
                put_message_head(&mut bytes, 4, Stamp(1), size);
                bytes.extend((0..size).map(|_| random.u8(..)));
                if round % 3 != 0 {
                    write_all(&writer, &bytes).unwrap();
                } else if let Ok(count) = writer.try_write(&bytes) {
                    write_all(&writer, &bytes[count..]).unwrap();
                } else {
                    write_all(&writer, &bytes).unwrap();
                }
            }
            let mut bytes = Vec::new();
            encode(&mut bytes, &Control::End { alias: 3 });
            write_all(&writer, &bytes).unwrap();
        });
        let (done, reading) = channel();
        start(move || {
            done.send(read_to_end(&reader)).unwrap();
            drain(&reader);
        });
        ends.push((writing, reading));
    }
    for (writing, reading) in ends {
        waited_for(writing);
        let got = waited_for(reading);
        let mut random = fastrand::Rng::with_seed(1);
        let expected: Vec<u8> = (0..rounds as usize * size).map(|_| random.u8(..)).collect();
        assert!(got.lossless == expected, "{} of {} bytes", got.lossless.len(), expected.len());
        assert_eq!(got.loose + got.lost, rounds);
        if loss == 0 && rate.is_some() {
            assert_eq!(got.lost, 0);
        }
    }
    here.close();
    there.close();
}

#[test]
fn all_of_a_lossless_alias_and_an_exact_count_of_the_rest_come_through_both_ways() {
    exchange(0, None, 2000, 300);
}

#[test]
fn the_same_where_a_tenth_is_lost() {
    exchange(10, None, 1000, 300);
}

#[test]
fn the_same_at_a_pace() {
    exchange(0, Some(200_000), 100, 300);
    exchange(11, Some(200_000), 100, 300);
}

#[test]
fn a_pace_is_kept_and_used() {
    let (here, there) = pair(0, Some(50_000));
    let reading = start(move || {
        let mut buffer = [0; 1000];
        let mut count = 0;
        while count < 20_000 {
            count += there.read(&mut buffer).unwrap();
        }
    });
    start({
        let here = here.clone();
        move || drain(&here)
    });
    let begin = Instant::now();
    // What is no stream of frames passes in the repaired stream as it is.
    write_all(&here, &[0xFF; 20_000]).unwrap();
    waited_for(reading);
    let took = begin.elapsed();
    here.close();
    println!("20,000 B at 50,000 B/s took {took:?}");
    assert!(took >= Duration::from_millis(380), "{took:?}: faster than the line");
}

#[test]
fn close_wakes_a_reader_and_a_writer_and_the_other_side() {
    let (here, there) = pair(0, None);
    let reading = start({
        let here = here.clone();
        move || here.read(&mut [0; 10]).unwrap()
    });
    let writing = start({
        let here = here.clone();
        // Nobody reads there: the window fills.
        move || loop {
            if let Err(error) = here.write(&[0xFF; 1000]) {
                return error.kind();
            }
        }
    });
    let waiting = || here.state.lock().waiting;
    while !waiting() {
        thread::yield_now();
    }
    here.close();
    here.close();
    assert_eq!(waited_for(reading), 0);
    assert_eq!(waited_for(writing), io::ErrorKind::BrokenPipe);
    assert!(here.try_write(b"x").is_err());
    // What came before the end is read, then the end.
    let mut all = 0;
    loop {
        match there.read(&mut [0; 1000]) {
            Ok(0) | Err(_) => break,
            Ok(count) => all += count,
        }
    }
    assert!(all > 0);
    assert!(there.write(b"x").is_err());
}
