use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn route(text: &str) -> Route {
    Route::parse(text).unwrap()
}

#[test]
fn a_plain_route_shows_type_and_path() {
    let route = route("Imu@robot.arm.imu");
    assert_eq!(route.type_name(), Some("Imu"));
    assert_eq!(route.path(), Some(&path("robot.arm.imu")));
    assert_eq!(route.prefix(), &path("robot.arm.imu"));
    assert_eq!(route.digest(), None);
    assert!(!route.is_hashed());
    assert_eq!(format!("{route} {route:?}"), "Imu@robot.arm.imu Route(Imu@robot.arm.imu)");
}

#[test]
fn the_digest_is_sha_256_of_the_plain_text() {
    // printf 'Imu@robot.arm.imu' | sha256sum
    let digest = "904f8babe9f907f40b212e818d2be26388ffd274080da75ab6c51b0a913af570";
    let hashed = route("Imu@robot.arm.imu").hashed(&path("robot.arm")).unwrap();
    assert_eq!(hashed.to_string(), format!("robot.arm#{digest}"));
    assert!(hashed.is_hashed());
    assert_eq!(hashed.prefix(), &path("robot.arm"));
    assert_eq!((hashed.type_name(), hashed.path()), (None, None));
    assert_eq!(Route::from_digest(path("robot.arm"), hashed.digest().unwrap()), hashed);
}

#[test]
fn hiding_needs_a_prefix_of_whole_segments() {
    let imu = route("Imu@robot.arm.imu");
    for prefix in ["robot", "robot.arm", "robot.arm.imu"] {
        assert!(imu.hashed(&path(prefix)).is_ok(), "{prefix}");
    }
    for prefix in ["robot.a", "arm", "robot.arm.imu.x", "Imu"] {
        let error = imu.hashed(&path(prefix)).unwrap_err().to_string();
        assert!(error.contains(&format!("`{prefix}`")) && error.contains("robot.arm.imu"), "{error}");
    }
}

#[test]
fn hiding_twice_can_only_shorten_the_prefix() {
    let arm = route("Imu@robot.arm.imu").hashed(&path("robot.arm")).unwrap();
    assert_eq!(arm.hashed(&path("robot.arm")).unwrap(), arm);
    let robot = arm.hashed(&path("robot")).unwrap();
    assert_eq!(robot.digest(), arm.digest());
    assert_ne!(robot, arm);
    assert!(robot.hashed(&path("robot.arm")).is_err());
}

#[test]
fn a_route_is_under_what_its_visible_path_is_under() {
    let imu = route("Imu@robot.arm.imu");
    assert!(imu.is_under(&path("robot.arm")));
    assert!(!imu.is_under(&path("robot.a")));
    let hashed = imu.hashed(&path("robot")).unwrap();
    assert!(hashed.is_under(&path("robot")));
    assert!(!hashed.is_under(&path("robot.arm")), "the hidden part must not give rights");
}

#[test]
fn every_broken_rule_is_named() {
    let says = |text: &str, word: &str| {
        let error = Route::parse(text).unwrap_err().to_string();
        assert!(error.contains(word), "{text:?} gave {error}");
    };
    says("", "Type@path");
    says("robot.arm", "Type@path");
    says("@robot", "empty");
    says("Imu@", "empty");
    says("Imu@robot..arm", "dot");
    says("Imu@robot@arm", "letters");
    says("a b@robot", "printable");
    says("Imü@robot", "printable");
    says("a#b@robot", "printable");
    says(&format!("{}@robot", "T".repeat(128)), "127");
    says("robot#", "64 hexadecimal");
    says(&format!("robot#{}", "0".repeat(63)), "64 hexadecimal");
    says(&format!("robot#{}", "0".repeat(65)), "64 hexadecimal");
    says(&format!("robot#{}", "A".repeat(64)), "lower case");
    says(&format!("robot#{}é", "0".repeat(62)), "64 hexadecimal");
    says(&format!("#{}", "0".repeat(64)), "empty");
    assert!(Route::new(&"T".repeat(127), &path("robot")).is_ok());
    assert!(Route::new("Pose<[f32;3],(u8,f64)>", &path("robot")).is_ok());
}

#[test]
fn equal_routes_are_found_in_a_set_and_others_are_not() {
    let hashed = route("Imu@robot.arm").hashed(&path("robot")).unwrap();
    let set = HashSet::from([route("Imu@robot.arm"), hashed.clone()]);
    assert!(set.contains(&route("Imu@robot.arm")));
    assert!(set.contains(&route(&hashed.to_string())));
    assert!(!set.contains(&route("Pose@robot.arm")));
    assert!(!set.contains(&route("Imu@robot.arm.imu")));
}

proptest! {
    #[test]
    fn a_route_reads_back_as_it_was_written(
        type_name in "[!-\"$-?A-~]{1,127}",
        text in "[a-z0-9_-]{1,9}(\\.[a-z0-9_-]{1,9}){0,3}",
    ) {
        let plain = Route::new(&type_name, &path(&text)).unwrap();
        prop_assert_eq!(&route(&plain.to_string()), &plain);
        let first = path(path(&text).segments().next().unwrap());
        let hashed = plain.hashed(&first).unwrap();
        prop_assert_eq!(route(&hashed.to_string()), hashed);
    }

    #[test]
    fn any_text_gives_a_route_or_an_error(text in any::<String>()) {
        let _ = Route::parse(&text);
    }
}
