//! Mistakes in URLs are errors that say what is right.

use bowline::Endpoint;

#[test]
fn a_wrong_option_is_an_error_that_names_it_and_what_it_takes() {
    for (options, words) in [
        ("baud=fast", "the option `baud` is 50 to 20000000 bits a second, not `fast`"),
        ("parity=mark", "the option `parity` is `none`, `even` or `odd`, not `mark`"),
        ("stop=3", "the option `stop` is `1` or `2`, not `3`"),
        ("bits=7", "the option `bits` is `8`, not `7`"),
        ("flow=software", "the option `flow` is `none` or `hardware`, not `software`"),
        ("speed=9600", "the option `speed` is not known; there is"),
    ] {
        let connect = format!("serial:///dev/ttyUSB0/robot.mcu?{options}");
        let error = Endpoint::builder("desk").connect(connect).start().expect_err("an error");
        assert!(error.to_string().contains(words), "{error}");
        let listen = format!("serial:///dev/ttyUSB0?{options}");
        let error = Endpoint::builder("desk").listen(listen).start().expect_err("an error");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn what_is_no_serial_port_is_said_to_be_none() {
    let file = std::env::temp_dir().join(format!("bowline-no-port-{}", std::process::id()));
    std::fs::write(&file, "notes").unwrap();
    let error = Endpoint::builder("robot").listen(format!("serial://{}", file.display())).start();
    let error = error.expect_err("an error");
    assert!(
        std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("serial port"))
    );
    let error = Endpoint::builder("robot").listen(format!("serial://{}/robot", file.display())).start();
    let error = error.expect_err("an error");
    assert!(std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("no port")));
    std::fs::remove_file(&file).unwrap();
}
