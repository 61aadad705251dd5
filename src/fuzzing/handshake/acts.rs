//! What the engine may have done, and does.

use super::{Bench, Hold, Line, Session, Stage};
use crate::proto::{Action, LinkId};
use crate::wire::control::Control;
use crate::wire::{Frame, Limits, Split, decode, encode, split};

impl Bench {
    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Dial { link, line, .. } => {
                assert_eq!(self.dials.insert(link, line), None, "dialled again before the answer");
                assert!(!self.lines.contains_key(&line), "dialled while there is a line");
                assert!(!self.sessions.contains_key(&line), "dialled by the number of a session");
            }
            Action::Send { link, frame, .. } => self.send(link, frame),
            Action::HangUp { link, bye } => {
                if let Some(bye) = bye {
                    check_readable(&Control::Bye(bye), false);
                }
                self.lines.remove(&link);
                self.sessions.remove(&link);
            }
            Action::Up { link, resumes, .. } => {
                let line = self.line(link);
                assert_eq!(line.stage, Stage::Handshaking, "it is up already");
                line.stage = Stage::Carries;
                let session = Session { resumes, ..Session::default() };
                assert!(self.sessions.insert(link, session).is_none(), "the session is there already");
            }
            Action::StandBy { link, .. } => {
                let line = self.line(link);
                assert_eq!(line.stage, Stage::Handshaking, "it stands by already");
                line.stage = Stage::StandsBy;
            }
            Action::LetGo { session } => {
                self.lines.remove(&session);
                let session = self.session(session);
                assert!(session.resumes, "a session is let go of that cannot go on");
                if session.hold == Hold::Carried {
                    session.hold = Hold::LettingGo;
                }
            }
            Action::HandOver { session, line, .. } => {
                let mut carrier = self.lines.remove(&line).expect("a line to hand over");
                assert_eq!((carrier.stage, carrier.resumed), (Stage::StandsBy, (true, true)));
                carrier.stage = Stage::Carries;
                assert!(self.lines.insert(session, carrier).is_none(), "two lines carry one session");
                let session = self.session(session);
                assert_eq!(session.hold, Hold::LetGo, "its last connection is not let go of");
                session.hold = Hold::Carried;
            }
            Action::OpenOutlet { link, alias, .. } => {
                assert!(self.session(link).outlets.insert(alias), "outlet {alias} is open already");
            }
            Action::CloseOutlet { link, alias, .. } => {
                assert!(self.session(link).outlets.remove(&alias), "outlet {alias} is not open");
            }
            Action::OpenInlet { link, alias, .. } => {
                assert!(self.session(link).inlets.insert(alias), "inlet {alias} is open already");
            }
            Action::DrainInlet { link, alias } => {
                self.session(link).inlets.insert(alias);
            }
            Action::CloseInlet { link, alias } => {
                assert!(self.session(link).inlets.remove(&alias), "inlet {alias} is not open");
            }
            Action::OpenRelay { from, from_alias, to, to_alias, .. } => {
                assert!(self.session(from).inlets.insert(from_alias), "inlet {from_alias} is open already");
                assert!(self.session(to).outlets.insert(to_alias), "outlet {to_alias} is open already");
            }
            Action::CloseRelay { to, to_alias } => {
                assert!(self.session(to).outlets.remove(&to_alias), "outlet {to_alias} is not open");
            }
            Action::Look { link } | Action::Clock { link, .. } => {
                self.line(link);
            }
            Action::Watch { .. }
            | Action::LinkLocal { .. }
            | Action::UnlinkLocal { .. }
            | Action::Event(_) => {}
        }
    }

    fn send(&mut self, link: LinkId, frame: Control) {
        let Some(line) = self.lines.get_mut(&link) else {
            // What a session has to say waits for a connection; what is about one connection does not.
            assert!(self.sessions.contains_key(&link), "spoke on a link without a line: {frame:?}");
            let about_one = matches!(
                frame,
                Control::Resume { .. }
                    | Control::Pong(_)
                    | Control::Hello(_)
                    | Control::Accept(_)
                    | Control::Bye(_)
            );
            assert!(!about_one, "{frame:?} waits for a connection");
            return check_readable(&frame, true);
        };
        check_readable(&frame, line.stage != Stage::Handshaking);
        if line.stage == Stage::StandsBy {
            assert!(!line.resumed.0, "{frame:?} behind a RESUME");
            let may = matches!(frame, Control::Ping(_) | Control::Pong(_) | Control::Resume { .. });
            assert!(may, "{frame:?} on a link that stands by");
        }
        match frame {
            Control::Hello(hello) => line.ours = Some(hello),
            Control::Accept(accept) => {
                line.accept = Some(accept);
                self.numbers.insert(accept.session);
            }
            Control::Ping(ping) => line.pings.push(ping),
            Control::Resume { .. } => {
                assert_eq!(line.stage, Stage::StandsBy, "RESUME on a link that does not stand by");
                line.resumed.0 = true;
            }
            _ => {}
        }
    }

    fn line(&mut self, link: LinkId) -> &mut Line {
        self.lines.get_mut(&link).expect("a line for this link")
    }

    fn session(&mut self, id: LinkId) -> &mut Session {
        self.sessions.get_mut(&id).expect("a session of this number")
    }
}

/// Whatever the engine sends, a peer can read, before the handshake in the small frames of that time.
fn check_readable(frame: &Control, up: bool) {
    let limits = if up { Limits::agreed(1 << 20) } else { Limits::HANDSHAKE };
    let mut bytes = Vec::new();
    encode(&mut bytes, frame);
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        match split(rest, limits) {
            Ok(Split::Frame { frame: Frame::Control { kind, body }, consumed }) => {
                assert!(decode(kind, body).is_ok(), "{frame:?}");
                rest = &rest[consumed..];
            }
            other => panic!("{frame:?} is no frame a peer takes: {other:?}"),
        }
    }
}
