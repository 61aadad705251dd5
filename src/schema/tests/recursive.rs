use super::{differ, of, reads, same};
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};

#[derive(Deserialize)]
#[allow(dead_code)]
pub(super) struct List {
    next: Option<Box<List>>,
    value: u8,
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub(super) struct Tree {
    value: f32,
    kids: Vec<Tree>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub(super) enum Expr {
    Add(Box<Expr>, Box<Expr>),
    Neg(Box<Expr>),
    Let { name: String, value: Box<Expr>, body: Box<Expr> },
    Number(f64),
    Call(String, Vec<Expr>),
}

#[test]
fn types_inside_themselves() {
    reads::<List>("List {next: option<^2>, value: u8}");
    reads::<Tree>("Tree {value: f32, kids: seq<^2>}");
    reads::<Expr>(
        "Expr enum {Add [^2; 2], Neg(^1), Let {name: str, value: ^2, body: ^2}, Number(f64), \
         Call (str, seq<^3>)}",
    );
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub(super) struct Block {
    left: Option<Box<Block>>,
    kind: Kind,
    id: std::num::NonZeroU32,
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub(super) enum Kind {
    Inner(Box<Block>, Box<Block>),
    Loop(Box<Kind>),
    Leaf(u8),
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub(super) enum A {
    X(B),
    Y(u8),
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub(super) enum B {
    Z(Box<A>),
    W(BTreeMap<String, A>, Option<Box<B>>),
}

#[test]
fn types_inside_each_other_with_the_end_last() {
    reads::<Block>("Block {left: option<^2>, kind: enum {Inner [^3; 2], Loop(^1), Leaf(u8)}, id: u32}");
    reads::<Kind>("Kind enum {Inner [{left: option<^2>, kind: ^3, id: u32}; 2], Loop(^1), Leaf(u8)}");
    reads::<A>("A enum {X(enum {Z(^2), W (map<str, ^4>, option<^3>)}), Y(u8)}");
    reads::<B>("B enum {Z(enum {X(^2), Y(u8)}), W (map<str, enum {X(^4), Y(u8)}>, option<^3>)}");
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub(super) struct Menu(Vec<Menu>);

#[derive(Deserialize)]
#[serde(transparent)]
#[allow(dead_code)]
struct PlainMenu(Vec<PlainMenu>);

#[derive(Deserialize)]
#[allow(dead_code)]
struct Wrapped(Box<Option<Wrapper>>);

#[derive(Deserialize)]
#[allow(dead_code)]
struct Wrapper(Wrapped);

#[derive(Deserialize)]
#[allow(dead_code)]
struct Chain(Option<Box<Chain>>);

#[test]
fn recursion_through_newtypes() {
    reads::<Menu>("Menu seq<^1>");
    same::<Menu, PlainMenu>();
    same::<Vec<Menu>, Menu>();
    same::<Wrapped, Chain>();
    same::<Wrapper, Chain>();
    assert_eq!(of::<Vec<Tree>>().name(), "seq<Tree>");
}

#[test]
fn where_tracing_begins_makes_no_difference() {
    // The root's Vec is the same type as the one inside the tree, the VecDeque is not; the bytes are alike.
    same::<Vec<Tree>, VecDeque<Tree>>();

    // Once unrolled by hand: endless, both are the same.
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Outer {
        next: Option<Box<List>>,
        value: u8,
    }
    same::<Outer, List>();

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Even {
        next: Option<Box<Odd>>,
        value: u8,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Odd {
        next: Option<Box<Even>>,
        value: u8,
    }
    same::<Even, List>();
}

#[test]
fn generics_nested_in_themselves_are_not_recursive() {
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Pair<T> {
        a: T,
        b: u8,
    }
    reads::<Pair<Pair<Pair<f32>>>>("Pair {a: {a: {a: f32, b: u8}, b: u8}, b: u8}");
    differ::<Pair<Pair<f32>>, Pair<Pair<f64>>>("field `a.a` is f32 here, f64 there");
}

#[test]
fn recursive_types_that_differ_somewhere_below() {
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Even {
        next: Option<Box<Odd>>,
        value: u8,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Odd {
        next: Option<Box<Even>>,
        value: u16,
    }
    differ::<List, Even>("field `next?.value` is u8 here, u16 there");
    differ::<Tree, Menu>("the message is {value: f32, kids: seq<^2>} here, seq<^1> there");
}

#[test]
fn a_wide_recursive_type_costs_little() {
    macro_rules! wide {
        ($($name:ident)*) => {
            #[derive(Deserialize)]
            #[allow(dead_code)]
            enum Wide { $($name(Box<Wide>, Vec<Wide>, Box<Wide>, Option<Box<Wide>>, Box<Wide>),)* End }
        };
    }
    wide!(A B C D E F G H I J K L M N O P Q R S T U V W X Y Z);
    assert!(of::<Wide>().to_string().contains("A (^2, seq<^3>, ^2, option<^3>, ^2)"));
}
