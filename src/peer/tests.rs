use super::*;
use proptest::prelude::*;

fn peer(text: &str) -> PeerUrl {
    PeerUrl::parse(text).unwrap()
}

fn peer_parts(text: &str) -> (String, String, Option<String>) {
    let url = peer(text);
    assert_eq!(url.to_string(), text);
    (url.scheme().into(), url.address().into(), url.path().map(ToString::to_string))
}

fn parts(scheme: &str, address: &str, path: Option<&str>) -> (String, String, Option<String>) {
    (scheme.into(), address.into(), path.map(Into::into))
}

#[test]
fn tcp_and_memory_may_leave_the_path_out() {
    let address = "10.0.0.2:7400";
    assert_eq!(peer_parts("tcp://10.0.0.2:7400/robot.arm"), parts("tcp", address, Some("robot.arm")));
    for text in ["tcp://10.0.0.2:7400", "tcp://10.0.0.2:7400/", "tcp://10.0.0.2:7400/*"] {
        assert_eq!(peer_parts(text), parts("tcp", address, None));
    }
    assert_eq!(peer_parts("memory://desk/robot.arm"), parts("memory", "desk", Some("robot.arm")));
    assert_eq!(peer_parts("memory://desk"), parts("memory", "desk", None));
}

#[test]
fn ipv6_addresses_stand_in_brackets_with_their_zone() {
    assert_eq!(
        peer_parts("tcp://[fe80::1%eth0]:7400/robot"),
        parts("tcp", "[fe80::1%eth0]:7400", Some("robot"))
    );
    assert_eq!(peer_parts("tcp://[::1]:7400"), parts("tcp", "[::1]:7400", None));
}

#[test]
fn the_last_segment_is_the_path_on_unix_and_unknown_schemes() {
    let sock = "/run/robot.sock";
    assert_eq!(peer_parts("unix:///run/robot.sock/robot.base"), parts("unix", sock, Some("robot.base")));
    assert_eq!(peer_parts("unix:///run/robot.sock/*"), parts("unix", sock, None));
    assert_eq!(peer_parts("unix:///run/robot.sock/"), parts("unix", sock, None));
    assert_eq!(peer_parts("x-radio+2://dev/7/robot"), parts("x-radio+2", "dev/7", Some("robot")));
    assert_eq!(peer_parts("loop://here/*"), parts("loop", "here", None));
}

#[test]
fn the_scope_can_be_set_for_one_peer() {
    assert_eq!(peer("tcp://robot:7400").scope(), None);
    assert_eq!(peer("tcp://robot:7400?scope=own").scope(), Some(Scope::Own));
    assert_eq!(peer("tcp://robot:7400/robot?scope=open").scope(), Some(Scope::Open));
    assert_eq!(peer("unix:///run/r.sock/robot?scope=own").scope(), Some(Scope::Own));
    assert_eq!(peer("unix:///run/r.sock/robot?scope=own").path(), Some(&Path::parse("robot").unwrap()));
}

#[test]
fn every_broken_rule_of_a_peer_url_is_named() {
    let long_socket = format!("unix:///{}/robot", "s".repeat(120));
    let long = format!("memory://{}", "n".repeat(MAX_URL_BYTES));
    for (text, word) in [
        ("", "`scheme://` is missing"),
        ("robot.arm", "tcp://10.0.0.2:7400/robot.arm"),
        ("10.0.0.2:7400", "`scheme://` is missing"),
        ("://robot", "scheme ``"),
        ("TCP://robot:7400", "lower-case"),
        ("2tcp://robot:7400", "lower-case"),
        ("t_p://robot:7400", "lower-case"),
        ("tcp://", "port is missing"),
        ("tcp://robot", "port is missing"),
        ("tcp://robot:0", "no port 0"),
        ("tcp://::1:7400", "brackets"),
        ("tcp://robot:7400/robot/arm", "robot/arm"),
        ("tcp://robot:7400/robot..arm", "dot"),
        ("memory://", "address"),
        ("memory:///robot", "address"),
        ("memory://desk/a/b", "letters"),
        ("unix:///robot", "three slashes"),
        ("unix://run/robot.sock/robot", "three slashes"),
        ("unix:///run/robot.sock//robot", "three slashes"),
        ("unix://robot", "must follow"),
        (&long_socket, "bytes for the path of a socket"),
        (&long, "longer than 1024"),
        ("serial:robot", "`scheme://` is missing"),
        ("serial:///dev/ttyUSB0", "peer's path must follow"),
        ("serial://by-id/usb-FTDI-if00", "peer's path must follow"),
        ("serial:by-id/usb-FTDI-if00", "peer's path must follow"),
        ("serial://dev/ttyUSB0/robot", "no serial port"),
        ("serial://COM/robot", "no serial port"),
        ("serial:///dev/ttyUSB0/robot?bauds=9600", "option `bauds` is not known; there is `scope=own`"),
        ("serial:///dev/ttyUSB0/robot?bauds=9600", "`baud=` (50 to 20000000 bits a second), `parity=`"),
        ("serial:///dev/ttyUSB0/robot?baud=fast", "`baud` is 50 to 20000000 bits a second, not `fast`"),
        ("serial:///dev/ttyUSB0/robot?baud=+9600", "not `+9600`"),
        ("serial:///dev/ttyUSB0/robot?baud", "`baud` is 50 to"),
        ("serial:///dev/ttyUSB0/robot?baud=49", "not `49`"),
        ("serial:///dev/ttyUSB0/robot?parity=mark", "`none`, `even` or `odd`, not `mark`"),
        ("serial:///dev/ttyUSB0/robot?stop=1.5", "`1` or `2`, not `1.5`"),
        ("serial:///dev/ttyUSB0/robot?bits=7", "is `8`, not `7`; frames hold bytes of all values"),
        ("serial:///dev/ttyUSB0/robot?flow=software", "software flow control would take"),
        ("serial:///dev/ttyUSB0/robot?baud=1200&baud=2400", "`baud` is given twice"),
        ("radio://7", "`radio://7/*`"),
        ("radio://7/robot?", "option `` is not known"),
        ("radio:///robot", "address"),
        ("radio://7/ro bot", "letters"),
        ("tcp://robot:7400/a\nb", "control characters"),
        ("tcp://robot:7400?", "option `` is not known"),
        ("tcp://robot:7400?scoop=own", "option `scoop` is not known; there is `scope=own`"),
        ("tcp://robot:7400?scope", "not ``"),
        ("tcp://robot:7400?scope=mine", "not `mine`"),
        ("tcp://robot:7400?scope=own&scope=own", "twice"),
        ("tcp://robot:7400?scope=own&x=1", "option `x`"),
    ] {
        match PeerUrl::parse(text) {
            Err(Error::InvalidUrl { rule, .. }) => assert!(rule.contains(word), "{text:?} gave {rule}"),
            other => panic!("{text:?} gave {other:?}"),
        }
    }
}

#[test]
fn listening_urls_have_an_address_only() {
    for (text, scheme, address) in [
        ("tcp://0.0.0.0:7400", "tcp", "0.0.0.0:7400"),
        ("tcp://[::]:0", "tcp", "[::]:0"),
        ("unix:///run/robot.sock", "unix", "/run/robot.sock"),
        ("memory://desk", "memory", "desk"),
        ("radio://dev/7", "radio", "dev/7"),
    ] {
        let url: ListenUrl = text.parse().unwrap();
        assert_eq!((url.scheme(), url.address(), &*url.to_string()), (scheme, address, text));
    }
}

#[test]
fn a_transport_gets_its_own_options_behind_its_address() {
    for (text, address, target, path) in [
        ("serial:///dev/ttyUSB0/robot.mcu", "/dev/ttyUSB0", "/dev/ttyUSB0", Some("robot.mcu")),
        (
            "serial:///dev/ttyUSB0/robot.mcu?baud=9600&scope=own&parity=even",
            "/dev/ttyUSB0",
            "/dev/ttyUSB0?baud=9600&parity=even",
            Some("robot.mcu"),
        ),
        ("serial:by-id/usb-A.B:1/*?stop=2", "by-id/usb-A.B:1", "by-id/usb-A.B:1?stop=2", None),
        ("serial://by-id/usb-A.B:1/robot", "by-id/usb-A.B:1", "by-id/usb-A.B:1", Some("robot")),
        ("serial://COM7/robot?flow=hardware", "COM7", "COM7?flow=hardware", Some("robot")),
        ("radio://dev/7/robot?power=9&scope=own", "dev/7", "dev/7?power=9", Some("robot")),
        ("tcp://robot:7400?scope=own", "robot:7400", "robot:7400", None),
    ] {
        let url = peer(text);
        let found = (url.address(), url.target(), url.path().map(Path::as_str));
        assert_eq!(found, (address, target, path), "{text}");
        assert_eq!(url.scope().is_some(), text.contains("scope"));
    }
    let url = ListenUrl::parse("serial:by-id/usb-A?baud=9600&bits=8").unwrap();
    let found = (url.scheme(), url.address(), url.target());
    assert_eq!(found, ("serial", "by-id/usb-A", "by-id/usb-A?baud=9600&bits=8"));
    assert_eq!(ListenUrl::parse("radio://7?power=9").unwrap().target(), "7?power=9");
    assert_eq!(options::value("baud=9600&bits=8", "bits"), Some("8"));
    assert_eq!(options::value("baud=9600", "bits"), None);
}

#[test]
fn every_broken_rule_of_a_listening_url_is_named() {
    for (text, word) in [
        ("0.0.0.0:7400", "`scheme://` is missing"),
        ("tcp://0.0.0.0:7400/robot", "no path"),
        ("tcp://0.0.0.0:7400/", "no path"),
        ("memory://desk/robot", "no path"),
        ("tcp://0.0.0.0:7400?scope=own", "no options"),
        ("serial:///dev/ttyUSB0?scope=own", "option `scope` is not known; there is `baud=`"),
        ("serial:///dev/ttyUSB0?baud=0", "not `0`"),
        ("serial://", "no serial port"),
        ("tcp://:7400", "0.0.0.0"),
        ("tcp://*:7400", "0.0.0.0"),
        ("unix://run/robot.sock", "three slashes"),
        ("unix:///run/", "three slashes"),
        ("memory://", "address"),
        ("radio://", "address"),
    ] {
        match ListenUrl::parse(text) {
            Err(Error::InvalidUrl { rule, .. }) => assert!(rule.contains(word), "{text:?} gave {rule}"),
            other => panic!("{text:?} gave {other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn any_text_gives_a_url_or_an_error(text in "(tcp|unix|memory|serial|x)?(://)?[\\PC/?&=:\\[\\]%]{0,40}") {
        if let Ok(url) = PeerUrl::parse(&text) {
            prop_assert_eq!(url.to_string(), text.clone());
        }
        let _ = ListenUrl::parse(&text);
    }
}
