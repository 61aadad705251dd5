//! The writer thread of a line.

use super::line::{Line, Load};
use std::io::{self, IoSlice};

/// Writes what the line has until it is finished or broken.
///
/// A write fault is left to the reader to report: it meets it too, and knows the reason better.
pub(crate) fn run(line: &Line) {
    let mut load = Load::default();
    let mut wrote = false;
    while line.next_load(&mut load, wrote) {
        #[cfg(feature = "lz4")]
        let begun = (load.urgent.len() + load.batch.len(), std::time::Instant::now());
        let written = write_all(line, &mut load);
        #[cfg(feature = "lz4")]
        line.note_write(begun.0, begun.1.elapsed());
        if let Err(error) = written {
            log::debug!("{}: writing ended: {error}", line.url);
            line.connection.close();
            line.broke(&mut load);
            break;
        }
        wrote = true;
    }
}

fn write_all(line: &Line, load: &mut Load) -> io::Result<()> {
    let connection = line.connection.current();
    if load.urgent.is_empty() {
        if let Some(bytes) = load.batch.as_one_piece() {
            let mut done = 0;
            let mut result = Ok(());
            while done < bytes.len() && result.is_ok() {
                result = retried(|| connection.write(&bytes[done..])).map(|count| done += count);
            }
            line.count_out(done);
            load.batch.wrote(done);
            return result;
        }
    }
    let Load { urgent, batch } = load;
    let total = urgent.len() + batch.len();
    let mut ahead = 0;
    loop {
        let mut slices = Vec::new();
        if ahead < urgent.len() {
            slices.push(IoSlice::new(&urgent[ahead..]));
        }
        batch.slices(&mut slices);
        if slices.is_empty() {
            break;
        }
        let count = retried(|| connection.write_vectored(&slices))?;
        drop(slices);
        let of_urgent = count.min(urgent.len() - ahead);
        ahead += of_urgent;
        batch.wrote(count - of_urgent);
    }
    line.count_out(total);
    Ok(())
}

fn retried(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// How far the writing of a line is that is not to wait.
#[cfg(feature = "testing")]
#[derive(Default)]
pub(super) struct Writer {
    load: Load,
    /// How many bytes of what is urgent are written.
    ahead: usize,
    wrote: bool,
}

/// What a [`Writer`] did.
#[cfg(feature = "testing")]
pub(super) enum Polled {
    Idle,
    Wrote,
    Ended,
}

#[cfg(feature = "testing")]
impl Writer {
    /// Writes what the connection takes at once.
    pub(super) fn poll(&mut self, line: &Line) -> Polled {
        let mut polled = Polled::Idle;
        loop {
            if self.ahead == self.load.urgent.len() && self.load.batch.is_empty() {
                self.ahead = 0;
                let wrote = std::mem::take(&mut self.wrote);
                match line.poll_load(&mut self.load, wrote, wrote || line.was_woken()) {
                    Some(true) => {}
                    Some(false) => return Polled::Ended,
                    None => return polled,
                }
            }
            let written = {
                let mut slices = Vec::new();
                if self.ahead < self.load.urgent.len() {
                    slices.push(IoSlice::new(&self.load.urgent[self.ahead..]));
                }
                self.load.batch.slices(&mut slices);
                line.connection.current().try_write_vectored(&slices)
            };
            match written {
                Ok(count) => {
                    let of_urgent = count.min(self.load.urgent.len() - self.ahead);
                    self.ahead += of_urgent;
                    self.load.batch.wrote(count - of_urgent);
                    line.count_out(count);
                    self.wrote = true;
                    polled = Polled::Wrote;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return polled,
                Err(error) => {
                    log::debug!("{}: writing ended: {error}", line.url);
                    line.connection.close();
                    line.broke(&mut self.load);
                    return Polled::Ended;
                }
            }
        }
    }
}
