//! Whoever has the turn, in every order.

use super::*;
use crate::flow::courier::Frames;
use crate::sync::{interleave, yield_now};
use crate::time::now;
use crate::wire::control::{Control, Ping};
use crate::wire::encode;
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread::spawn;
use std::sync::Arc;

const ROUNDS: usize = 1000;

const SETTINGS: Settings = Settings {
    fifo: true,
    packet: 64,
    window_in: 256,
    window_out: 256,
    rate: None,
    frames: Frames::Many,
    overhead: 7,
};

/// A port that keeps what is sent, and from which nothing comes.
#[derive(Default)]
struct Sink {
    packets: Mutex<Vec<Vec<u8>>>,
    busy: AtomicBool,
    closed: AtomicBool,
    /// Sometimes it takes nothing from a thread that does not wait.
    is_slow: bool,
}

impl Sink {
    fn take(&self, packet: &[u8], may_refuse: bool) -> io::Result<()> {
        assert!(!self.busy.swap(true, Ordering::SeqCst), "two send at once");
        let result = if self.closed.load(Ordering::SeqCst) {
            Err(io::ErrorKind::BrokenPipe.into())
        } else if may_refuse && self.is_slow && thread_rng().gen_bool(0.4) {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            self.packets.lock().push(packet.to_vec());
            Ok(())
        };
        self.busy.store(false, Ordering::SeqCst);
        result
    }
}

impl Port for Sink {
    fn receive(&self, _: &mut [u8], _: Duration) -> io::Result<Option<usize>> {
        yield_now();
        if self.closed.load(Ordering::SeqCst) { Ok(Some(0)) } else { Ok(None) }
    }

    fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.take(packet, false)
    }

    fn try_send(&self, packet: &[u8]) -> io::Result<()> {
        self.take(packet, true)
    }

    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    fn remote(&self) -> String {
        "model".into()
    }

    fn rate(&self) -> Option<u64> {
        None
    }
}

fn connection(is_slow: bool) -> Arc<PacketConnection<Sink>> {
    Arc::new(PacketConnection::new(Sink { is_slow, ..Sink::default() }, SETTINGS, 64))
}

/// Packets with a ping each, which is to be answered at once.
fn pings(count: usize) -> Vec<Vec<u8>> {
    let mut far = Courier::new(SETTINGS);
    let mut packets = Vec::new();
    for _ in 0..count {
        let (mut bytes, mut packet) = (Vec::new(), Vec::new());
        encode(&mut bytes, &Control::Ping(Ping { sent: now() }));
        assert_eq!(far.send(now(), &bytes), bytes.len());
        assert!(far.poll(now(), &mut packet));
        packets.push(packet);
    }
    packets
}

#[test]
fn the_turn_is_never_left_with_packets_unsent() {
    for is_slow in [false, true] {
        interleave(ROUNDS, move || {
            let connection = connection(is_slow);
            let writer = spawn({
                let connection = Arc::clone(&connection);
                move || {
                    for number in 0..4_u8 {
                        // What is no stream of frames passes as it is.
                        let bytes = [0xFF, number];
                        let write = if number % 2 == 0 {
                            connection.try_write(&bytes)
                        } else {
                            connection.write(&bytes)
                        };
                        assert_eq!(write.unwrap(), bytes.len());
                    }
                }
            });
            // The reader answers what comes.
            let packets = pings(3);
            for packet in packets {
                connection.state.lock().courier.packet(now(), &packet);
                connection.pump(false).unwrap();
            }
            writer.join().unwrap();
            if is_slow && connection.state.lock().unsent {
                // Nobody forgot that: the reader comes back for it.
                connection.pump(true).unwrap();
            }
            assert!(!connection.state.lock().unsent && !connection.state.lock().courier.has_packet(now()));
            let mut far = Courier::new(SETTINGS);
            for packet in connection.port.packets.lock().iter() {
                far.packet(now(), packet);
            }
            let mut bytes = [0; 64];
            let count = far.read(now(), &mut bytes);
            assert!(bytes[..count].ends_with(&[0xFF, 0, 0xFF, 1, 0xFF, 2, 0xFF, 3]), "{:?}", &bytes[..count]);
        });
    }
}

#[test]
fn a_close_ends_a_writer_that_waits_and_a_reader() {
    interleave(ROUNDS, || {
        let connection = connection(false);
        let writer = spawn({
            let connection = Arc::clone(&connection);
            // Nothing is acknowledged, so the window fills.
            move || loop {
                if let Err(error) = connection.write(&[0xFF; 128]) {
                    return error.kind();
                }
            }
        });
        let reader = spawn({
            let connection = Arc::clone(&connection);
            move || connection.read(&mut [0; 64]).unwrap()
        });
        yield_now();
        connection.close();
        assert_eq!(writer.join().unwrap(), io::ErrorKind::BrokenPipe);
        assert_eq!(reader.join().unwrap(), 0);
    });
}
