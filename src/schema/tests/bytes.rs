use super::of;
use crate::schema::shape::{Leaf, Member, Shape};
use crate::schema::{DEPTH_LIMIT, ENCODED_LIMIT, NODE_LIMIT, Schema, SchemaError};
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[allow(dead_code)]
struct Everything {
    list: Vec<[f32; 3]>,
    table: BTreeMap<String, Option<(u8, u16)>>,
    mode: Mode,
    back: Option<Box<Everything>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
enum Mode {
    Idle,
    Run { speed: f64 },
}

fn samples() -> Vec<Schema> {
    vec![
        Schema::raw(),
        Schema::versioned("Scan", 7).unwrap(),
        of::<u8>(),
        of::<Everything>(),
        of::<Vec<Mode>>(),
    ]
}

fn rule(bytes: &[u8]) -> &'static str {
    match Schema::decode(bytes) {
        Err(SchemaError::Malformed { rule, .. }) => rule,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_encoded_decodes_to_the_same() {
    for schema in samples() {
        let decoded = Schema::decode(&schema.encode()).unwrap();
        assert_eq!(decoded, schema);
        assert_eq!(decoded.fingerprint(), schema.fingerprint());
    }
}

#[test]
fn every_truncation_is_an_error_and_every_flipped_bit_is_seen_or_an_error() {
    for schema in samples() {
        let bytes = schema.encode();
        for end in 0..bytes.len() {
            assert!(Schema::decode(&bytes[..end]).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(decoded) = Schema::decode(&flipped) {
                assert_ne!(decoded, schema);
                assert_eq!(decoded.encode(), flipped);
                let _ = schema.difference(&decoded);
                let _ = decoded.difference(&schema);
            }
        }
    }
}

#[test]
fn malformed_bytes_are_told_apart() {
    assert_eq!(rule(&[]), "it ends too early");
    assert_eq!(rule(&[0, 0x0C]), "a name that is no type name");
    assert_eq!(rule(b"\x03a@b\x0C"), "a name that is no type name");
    assert_eq!(rule(b"\x01\xFF\x0C"), "a name that is not UTF-8");
    assert_eq!(rule(b"\x7Fa"), "a name longer than the rest");
    assert_eq!(rule(b"\x01a\x0C\x0C"), "bytes after the end");
    assert_eq!(rule(b"\x01a\x7F"), "an unknown tag");
    assert_eq!(rule(b"\x01a\x21\x00"), "an unknown tag");
    assert_eq!(rule(b"\x01a\x20\x26\x02"), "a reference to outside");
    assert_eq!(rule(b"\x01a\x26\x00"), "a reference to outside");
    assert_eq!(rule(b"\x01a\x23\x01\x00\x0C"), "a run of no items");
    assert_eq!(rule(b"\x81\x00a\x0C"), "a number not in its shortest form");
    assert_eq!(rule(b"\xFF\xFF\xFF\xFF\x1Fa\x0C"), "a number past 32 bits");
    assert_eq!(rule(b"\xFF\xFF\xFF\xFF\xFF\x01"), "a number past 32 bits");
    assert_eq!(rule(b"\x01a\x24\xFF\xFF\xFF\xFF\x0F"), "it ends too early");
    assert_eq!(rule(&vec![0x20; ENCODED_LIMIT + 1]), "longer than 16 KiB");
    let text = Schema::decode(b"\x01a\x7F").unwrap_err().to_string();
    assert_eq!(text, "malformed schema at byte 3: an unknown tag");
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |levels: usize| [b"\x01a".as_slice(), &vec![0x20; levels - 1], &[0x0C]].concat();
    assert!(Schema::decode(&nested(DEPTH_LIMIT)).is_ok());
    assert_eq!(rule(&nested(DEPTH_LIMIT + 1)), "nested more than 32 levels deep");
    assert_eq!(rule(&nested(ENCODED_LIMIT - 2)), "nested more than 32 levels deep");

    // A tuple of single items: the tuple itself is one part, each item another.
    let wide = |items: usize| {
        let count = [(items & 0x7F) as u8 | 0x80, (items >> 7) as u8];
        [b"\x01a\x23".as_slice(), &count, &[0x01, 0x0C].repeat(items)].concat()
    };
    assert!(Schema::decode(&wide(NODE_LIMIT - 1)).is_ok());
    assert_eq!(rule(&wide(NODE_LIMIT)), "more than 2048 parts");
}

/// Two hostile schemas whose recursive shapes run out of step with each other, as unlike as can be.
#[test]
fn comparing_hostile_schemas_ends() {
    let ring = |levels: u32, end: u8| {
        let mut bytes = b"\x01a".to_vec();
        for level in 1..levels {
            bytes.extend([0x24, 2, 1, b'a']);
            bytes.extend(if level == levels - 1 { vec![0x26, level as u8] } else { vec![] });
        }
        for level in (1..levels).rev() {
            bytes.extend([1, b'b', if level == 1 { end } else { 0x0C }]);
        }
        Schema::decode(&bytes).unwrap()
    };
    for (ours, theirs) in [(31, 30), (29, 31), (7, 11), (2, 32)] {
        let (ours, theirs) = (ring(ours, 0x0C), ring(theirs, 0x0D));
        assert!(ours.difference(&theirs).is_some());
        assert_eq!(ours.difference(&ours), None);
    }
    // A reference back to a reference back, and one that goes in a circle of one.
    let circle = Schema::decode(b"\x01a\x20\x26\x01").unwrap();
    let other = Schema::decode(b"\x01a\x20\x20\x26\x02").unwrap();
    assert_eq!(circle.difference(&other), None);
    assert!(circle.difference(&of::<u8>()).is_some());
}

#[test]
fn a_peers_names_steer_no_terminal_and_fill_no_log() {
    let shape = |name: &str| {
        let mut bytes = b"\x01a\x24\x01".to_vec();
        super::super::encode::put_text(&mut bytes, name);
        bytes.push(0x0C);
        Schema::decode(&bytes).unwrap()
    };
    let ours = of::<Everything>();
    let text = ours.difference(&shape("\u{1b}[2J\n\u{202e}")).unwrap();
    assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
    assert!(ours.difference(&shape(&"x".repeat(10_000))).unwrap().len() <= 500);
    assert!(!shape("\u{1b}").to_string().contains('\u{1b}'));
}

fn leaf() -> impl Strategy<Value = Shape> {
    (1u8..=0x11).prop_map(|tag| Shape::Leaf(Leaf::from_tag(tag).unwrap()))
}

fn shape() -> impl Strategy<Value = Shape> {
    leaf().prop_recursive(6, 64, 4, |inner| {
        let members = |inner| {
            let member = ("[a-zé]{0,3}", inner).prop_map(|(name, shape)| Member { name: name.into(), shape });
            proptest::collection::vec(member, 0..4)
        };
        prop_oneof![
            inner.clone().prop_map(|item| Shape::Option(Box::new(item))),
            inner.clone().prop_map(|item| Shape::Seq(Box::new(item))),
            (inner.clone(), inner.clone()).prop_map(|entry| Shape::Map(Box::new(entry))),
            proptest::collection::vec((1u32.., inner.clone()), 0..4).prop_map(Shape::Tuple),
            members(inner.clone()).prop_map(Shape::Struct),
            members(inner).prop_map(Shape::Enum),
        ]
    })
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        if let Ok(schema) = Schema::decode(&bytes) {
            prop_assert_eq!(schema.encode(), bytes);
        }
    }

    /// Bytes that look like a schema get further than random ones.
    #[test]
    fn likely_bytes_never_panic(bytes in proptest::collection::vec(
        prop_oneof![0u8..4, 0x0Bu8..0x0E, 0x20u8..0x27], 0..256,
    )) {
        let bytes = [b"\x01a".as_slice(), &bytes].concat();
        if let Ok(schema) = Schema::decode(&bytes) {
            prop_assert_eq!(schema.encode(), bytes);
            prop_assert_eq!(schema.difference(&schema), None);
            let _ = schema.difference(&of::<Everything>());
            let _ = schema.to_string();
        }
    }

    #[test]
    fn any_shape_survives_the_wire(shape in shape()) {
        let schema = Schema::new("Any".to_owned(), shape);
        prop_assert_eq!(Schema::decode(&schema.encode()), Ok(schema));
    }

    #[test]
    fn equal_fingerprints_and_no_difference_go_together(a in shape(), b in shape()) {
        let (a, b) = (Schema::new("A".to_owned(), a), Schema::new("B".to_owned(), b));
        prop_assert_eq!(a.fingerprint() == b.fingerprint(), a.difference(&b).is_none());
    }
}
