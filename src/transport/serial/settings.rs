//! How a serial port is set, as its URL says.

use crate::peer::options::{self, Options, Role};
use serialport::{DataBits, FlowControl, Parity, SerialPortBuilder, StopBits};
use std::io;

/// A serial port and how it is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// The port as its URL names it.
    pub(super) name: String,
    /// The port as the system names it.
    pub(super) path: String,
    baud: u32,
    parity: Parity,
    stop: StopBits,
    flow: FlowControl,
}

impl Settings {
    /// Reads `/dev/ttyUSB0?baud=9600&parity=even` and the like.
    pub(super) fn parse(address: &str) -> io::Result<Settings> {
        let (name, options) = address.split_once('?').unwrap_or((address, ""));
        if !options.is_empty() {
            Options::parse("serial", Role::Listen, options)
                .map_err(|rule| io::Error::new(io::ErrorKind::InvalidInput, rule))?;
        }
        let value = |name| options::value(options, name).unwrap_or_default();
        Ok(Settings {
            name: name.to_owned(),
            path: match name.strip_prefix("by-id/") {
                Some(adapter) => format!("/dev/serial/by-id/{adapter}"),
                None => name.to_owned(),
            },
            baud: value("baud").parse().unwrap_or(DEFAULT_BAUD),
            parity: match value("parity") {
                "even" => Parity::Even,
                "odd" => Parity::Odd,
                _ => Parity::None,
            },
            stop: if value("stop") == "2" { StopBits::Two } else { StopBits::One },
            flow: if value("flow") == "hardware" { FlowControl::Hardware } else { FlowControl::None },
        })
    }

    /// For the system.
    pub(super) fn builder(&self) -> SerialPortBuilder {
        serialport::new(&self.path, self.baud)
            .data_bits(DataBits::Eight)
            .parity(self.parity)
            .stop_bits(self.stop)
            .flow_control(self.flow)
    }

    /// How many bytes the line carries in a second, each way.
    pub(super) fn rate(&self) -> u64 {
        let parity = u64::from(self.parity != Parity::None);
        let stop = if self.stop == StopBits::Two { 2 } else { 1 };
        (u64::from(self.baud) / (1 + 8 + parity + stop)).max(1)
    }

    /// The port and its settings in a few words: `/dev/ttyUSB0 (115200 baud, 8N1)`.
    pub(super) fn words(&self) -> String {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        let stop = if self.stop == StopBits::Two { 2 } else { 1 };
        let flow = if self.flow == FlowControl::Hardware { ", RTS/CTS" } else { "" };
        format!("{} ({} baud, 8{parity}{stop}{flow})", self.name, self.baud)
    }
}

/// What most boards and adapters are set to.
const DEFAULT_BAUD: u32 = 115_200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_set_as_its_url_says() {
        for (address, path, rate, words) in [
            ("/dev/ttyUSB0", "/dev/ttyUSB0", 11_520, "/dev/ttyUSB0 (115200 baud, 8N1)"),
            (
                "by-id/usb-FTDI_1-if00?baud=9600&parity=even&stop=2&flow=hardware",
                "/dev/serial/by-id/usb-FTDI_1-if00",
                800,
                "by-id/usb-FTDI_1-if00 (9600 baud, 8E2, RTS/CTS)",
            ),
            ("COM7?parity=odd&bits=8", "COM7", 10_472, "COM7 (115200 baud, 8O1)"),
            ("/dev/x?baud=50", "/dev/x", 5, "/dev/x (50 baud, 8N1)"),
        ] {
            let settings = Settings::parse(address).unwrap();
            let found = (&*settings.path, settings.rate(), &*settings.words());
            assert_eq!(found, (path, rate, words), "{address}");
        }
        let error = Settings::parse("/dev/x?baud=fast").unwrap_err();
        assert!(error.to_string().contains("not `fast`"), "{error}");
    }
}
