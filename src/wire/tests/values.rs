//! Values of every kind, by chance.

use crate::delivery::Delivery;
use crate::path::Path;
use crate::priority::Priority;
use crate::reason::ReasonCode;
use crate::route::Route;
use crate::time::Timestamp;
use crate::wire::control::*;
use crate::wire::*;
use proptest::prelude::*;

fn path() -> impl Strategy<Value = Path> {
    "[A-Za-z0-9_-]{1,20}(\\.[A-Za-z0-9_-]{1,20}){0,4}".prop_map(|text| Path::parse(&text).unwrap())
}

fn route() -> impl Strategy<Value = Route> {
    let plain = ("[!-\"$-?A-~]{1,127}", path()).prop_map(|(name, path)| Route::new(&name, &path).unwrap());
    let hashed = (path(), any::<[u8; 32]>()).prop_map(|(prefix, digest)| Route::from_digest(prefix, digest));
    prop_oneof![plain, hashed]
}

fn declared() -> impl Strategy<Value = Declared> {
    (route(), any::<u64>(), "[a-z0-9]{0,32}", any::<u32>()).prop_map(
        |(route, fingerprint, codec, lease_millis)| Declared { route, fingerprint, codec, lease_millis },
    )
}

fn intent() -> impl Strategy<Value = Intent> {
    let origin = (any::<[u8; 16]>(), any::<u32>()).prop_map(|(instance, id)| Origin { instance, id });
    let via = prop::collection::vec(any::<[u8; 16]>(), 0..kind::MAX_HOPS);
    let relayed = prop::option::of((origin, via).prop_map(|(origin, via)| Box::new(Relayed { origin, via })));
    (declared(), any::<bool>(), any::<bool>(), relayed).prop_map(
        |(declared, exclusive, retained, relayed)| {
            let priorities = [Priority::Urgent, Priority::Normal, Priority::Bulk];
            let priority = priorities[declared.lease_millis as usize % 3];
            Intent { declared, exclusive, retained, priority, relayed }
        },
    )
}

fn interest() -> impl Strategy<Value = Interest> {
    let delivery = prop_oneof![
        Just(Delivery::Latest),
        (1..=Delivery::MAX_DEPTH).prop_map(Delivery::Queue),
        (1..=Delivery::MAX_DEPTH).prop_map(Delivery::Lossless),
    ];
    (declared(), delivery, any::<Option<u32>>(), any::<bool>())
        .prop_map(|(declared, delivery, only, unpacks)| Interest { declared, delivery, only, unpacks })
}

fn entries<T: std::fmt::Debug + Clone + 'static>(
    item: impl Strategy<Value = T> + Clone + 'static,
) -> impl Strategy<Value = Vec<Entry<T>>> {
    let entry = prop_oneof![
        (any::<u32>(), item.clone()).prop_map(|(id, item)| Entry::Add { id, item }),
        (any::<u32>(), item).prop_map(|(id, item)| Entry::Update { id, item }),
        any::<u32>().prop_map(|id| Entry::Remove { id }),
    ];
    prop::collection::vec(entry, 0..12)
}

fn alias() -> impl Strategy<Value = u32> {
    prop_oneof![0..200u32, 0..=kind::MAX_ALIAS]
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp::from_micros)
}

fn text() -> impl Strategy<Value = String> {
    // 128 characters of at most four bytes each are at most 512 bytes.
    ".{0,128}"
}

fn hello() -> impl Strategy<Value = Control> {
    let who = (path(), prop::option::of(path()), any::<[u8; 16]>(), any::<bool>());
    let numbers =
        (any::<u32>(), any::<u64>(), prop_oneof![64..2000_u32, 64..=u32::MAX], 1..=u32::MAX, time());
    (1..=u8::MAX, any::<u8>(), who, numbers).prop_map(|(least, more, who, numbers)| {
        Control::Hello(Hello {
            version_min: least,
            version_max: least.saturating_add(more),
            capabilities: numbers.0,
            instance: who.2,
            session: numbers.1,
            scope_own: who.3,
            joins: !who.3,
            max_frame: numbers.2,
            ping_millis: numbers.3,
            clock: numbers.4,
            path: who.0,
            expected: who.1,
        })
    })
}

fn notify() -> impl Strategy<Value = Notify> {
    let pair = (any::<bool>(), any::<u32>(), any::<u32>());
    prop_oneof![
        (any::<u32>(), any::<u32>(), alias(), any::<bool>())
            .prop_map(|(mine, yours, alias, packed)| Notify::linked(mine, yours, alias, packed)),
        (pair, text()).prop_map(|((supplier, mine, yours), text)| Notify::Refused {
            supplier,
            mine,
            yours,
            text
        }),
        (pair, prop::collection::vec(any::<u8>(), 0..400))
            .prop_map(|((supplier, mine, yours), schema)| Notify::Schema { supplier, mine, yours, schema }),
        (any::<u32>(), text()).prop_map(|(yours, text)| Notify::Conflict { yours, text }),
    ]
}

/// Every value that can be sent.
pub(super) fn control() -> impl Strategy<Value = Control> {
    let code = any::<u8>().prop_filter_map("an assigned code", ReasonCode::from_wire);
    prop_oneof![
        hello(),
        (1..=u8::MAX, any::<u32>(), 1..=u64::MAX).prop_map(|(version, capabilities, session)| {
            Control::Accept(Accept { version, capabilities, session })
        }),
        (code, text()).prop_map(|(code, text)| Control::Bye(Bye { code, text })),
        time().prop_map(|sent| Control::Ping(Ping { sent })),
        (time(), time(), time()).prop_map(|(echo, received, sent)| Control::Pong(Pong {
            echo,
            received,
            sent
        })),
        entries(intent().boxed()).prop_map(Control::Intents),
        entries(interest().boxed()).prop_map(Control::Interests),
        notify().prop_map(Control::Notify),
        (alias(), any::<u64>(), any::<u64>(), any::<u64>())
            .prop_map(|(alias, limit, taken, lost)| Control::Credit(Credit { alias, limit, taken, lost })),
        time().prop_map(Control::Time),
        (alias(), any::<u64>()).prop_map(|(alias, count)| Control::Gap { alias, count }),
        alias().prop_map(|alias| Control::End { alias }),
    ]
}
