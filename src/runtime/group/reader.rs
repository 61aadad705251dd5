//! The reader thread of a group.

use super::Group;
use super::table::Sorted;
use crate::bytes::Pool;
use crate::wire::group::{Datagram, read};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl Group {
    /// Takes datagrams until the group is closed. `pause` waits between faults; true ends it.
    pub(crate) fn run(&self, pause: impl Fn(Duration) -> bool) {
        self.receive(pause);
        self.port.socket.close();
    }

    fn receive(&self, pause: impl Fn(Duration) -> bool) {
        let mut buffer = vec![0; LARGEST_DATAGRAM];
        let pool = Pool::new(BUFFERS_KEPT, BUFFERS_KEPT * LARGEST_DATAGRAM);
        let (mut edition, mut table) = self.newest();
        let tallies = &self.port.tallies;
        while !self.parted.load(Ordering::Acquire) {
            let (length, from) = match self.port.socket.receive(&mut buffer) {
                Ok(received) => received,
                Err(error) if is_a_moment(&error) => continue,
                Err(error) => {
                    if self.parted.load(Ordering::Acquire) {
                        return;
                    }
                    let text = format!("the group cannot be read: {error}; trying again");
                    self.drive(|control, now| control.core.trouble(now, text));
                    if pause(FAULT_PAUSE) {
                        return;
                    }
                    continue;
                }
            };
            if self.edition.load(Ordering::Acquire) != edition {
                (edition, table) = self.newest();
            }
            let datagram = buffer.get(..length).unwrap_or_default();
            match table.sort(datagram, &pool) {
                Sorted::Taken => tallies.taken.add(),
                Sorted::Unwanted => tallies.unwanted.add(),
                Sorted::Stranger => tallies.strangers.add(),
                Sorted::Late => tallies.late.add(),
                Sorted::Own => {}
                Sorted::Other => self.other(datagram, from),
            }
        }
    }

    fn newest(&self) -> (u64, Arc<super::Table>) {
        // A table published in between is taken over by the next look.
        let edition = self.edition.load(Ordering::Acquire);
        (edition, Arc::clone(&self.table.lock()))
    }

    #[cold]
    fn other(&self, datagram: &[u8], from: SocketAddr) {
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        match read(datagram) {
            Ok(Datagram::Announce(announce)) => {
                self.drive(|control, now| control.core.announced(now, &from.to_string(), announce));
            }
            Ok(Datagram::Leave(leave)) => self.drive(|control, now| control.core.left(now, &leave)),
            Ok(Datagram::Report(report)) => self.drive(|control, now| control.core.reported(now, &report)),
            Ok(Datagram::Sample(..)) => {}
            Err(useless) => {
                self.drive(|control, now| control.core.useless(now, &from.to_string(), &useless));
            }
        }
    }
}

fn is_a_moment(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::TimedOut
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionRefused
    )
}

/// The most a datagram can hold.
const LARGEST_DATAGRAM: usize = 65_536;

/// How many buffers of samples are kept for the next ones.
const BUFFERS_KEPT: usize = 32;

const FAULT_PAUSE: Duration = Duration::from_millis(200);
