use super::*;
use crate::path::Path;
use crate::reason::ReasonCode;

pub(in crate::proto) fn hello(path: &str, instance: u8, versions: (u8, u8), expected: Option<&str>) -> Hello {
    Hello {
        version_min: versions.0,
        version_max: versions.1,
        capabilities: 0b110,
        instance: [instance; 16],
        session: 0,
        scope_own: false,
        joins: false,
        max_frame: 1 << 20,
        ping_millis: 1000,
        clock: Timestamp::ZERO,
        path: Path::parse(path).unwrap(),
        expected: expected.map(|path| Path::parse(path).unwrap()),
    }
}

fn greet(dialler: &mut Handshake, acceptor: &mut Handshake) -> [Control; 2] {
    let first = Control::Hello(dialler.ours().clone());
    assert_eq!(acceptor.take(&first), Ok(Progress::Greeted));
    acceptor.answer(7, Timestamp::ZERO)
}

#[test]
fn both_sides_agree_on_version_capabilities_and_session() {
    let mut theirs = hello("arm", 2, (1, 3), None);
    theirs.capabilities = 0b011;
    let mut dialler = Handshake::dialler(hello("desk", 1, (2, 9), Some("arm")));
    let mut acceptor = Handshake::acceptor(theirs);
    let [first, second] = greet(&mut dialler, &mut acceptor);
    assert_eq!(dialler.take(&first), Ok(Progress::Greeted));
    let agreed = Accept { version: 3, capabilities: 0b010, session: 7 };
    assert_eq!(dialler.take(&second), Ok(Progress::Agreed(agreed)));
    assert_eq!(acceptor.take(&Control::Accept(agreed)), Ok(Progress::Agreed(agreed)));
}

#[test]
fn finals_that_disagree_are_malformed() {
    for change in 0..4 {
        let spoil = |accept: &Accept| {
            let mut accept = *accept;
            match change {
                0 => accept.version += 1,
                1 => accept.capabilities |= 1,
                2 => accept.session += 1,
                _ => accept.session = 0,
            }
            Control::Accept(accept)
        };
        let mut dialler = Handshake::dialler(hello("desk", 1, (1, 1), None));
        let mut acceptor = Handshake::acceptor(hello("arm", 2, (1, 1), None));
        let [first, second] = greet(&mut dialler, &mut acceptor);
        dialler.take(&first).unwrap();
        let Control::Accept(offer) = second else { panic!("{second:?}") };
        let reason = acceptor.take(&spoil(&offer)).unwrap_err();
        assert_eq!(reason.code(), ReasonCode::Malformed);
        if change != 2 {
            // Any session but 0 is the acceptor's to choose.
            assert_eq!(dialler.take(&spoil(&offer)).unwrap_err().code(), ReasonCode::Malformed);
        }
    }
}

#[test]
fn frames_out_of_turn_are_malformed() {
    let accept = Control::Accept(Accept { version: 1, capabilities: 0, session: 1 });
    let ping = Control::Unknown { kind: 0x10 };
    for frame in [&accept, &ping] {
        let mut dialler = Handshake::dialler(hello("desk", 1, (1, 1), None));
        let reason = dialler.take(frame).unwrap_err();
        assert_eq!(reason.code(), ReasonCode::Malformed);
        assert!(reason.text().ends_with("came where HANDSHAKE initial was due"), "{reason}");
    }
    let theirs = Control::Hello(hello("arm", 2, (1, 1), None));
    let mut dialler = Handshake::dialler(hello("desk", 1, (1, 1), None));
    dialler.take(&theirs).unwrap();
    assert_eq!(
        dialler.take(&theirs).unwrap_err().text(),
        "HANDSHAKE initial came where HANDSHAKE final was due"
    );
}

#[test]
fn whom_each_expects_is_checked_on_both_sides() {
    let dialler_hello = hello("desk", 1, (1, 1), Some("leg"));
    let arm = hello("arm", 2, (1, 1), None);
    let mut acceptor = Handshake::acceptor(arm.clone());
    let told = acceptor.take(&Control::Hello(dialler_hello.clone())).unwrap_err();
    assert!(matches!(acceptor.owed_hello(Timestamp::ZERO), Some(Control::Hello(_))));
    let mut dialler = Handshake::dialler(dialler_hello);
    let seen = dialler.take(&Control::Hello(arm)).unwrap_err();
    assert_eq!(told.code(), ReasonCode::WrongIdentity);
    assert_eq!(told.text(), seen.text());
    assert_eq!(dialler.owed_hello(Timestamp::ZERO), None);
}

#[test]
fn version_ranges_that_make_no_sense_have_nothing_in_common() {
    for range in [(2, 1), (0, 0), (2, 255), (255, 0)] {
        let mut acceptor = Handshake::acceptor(hello("arm", 2, (1, 1), None));
        let reason = acceptor.take(&Control::Hello(hello("desk", 1, range, None))).unwrap_err();
        assert_eq!(reason.code(), ReasonCode::Version);
    }
}
