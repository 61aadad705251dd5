//! What the parts between a socket and an application cost, each alone.
//!
//! `cargo bench --features measuring --bench inside`

mod support;

use bowline::measuring::{Mail, Outgo, Registry, payload};
use support::Bench;

const SAMPLES: u32 = 512;
const ROUTES: u32 = 10_000;

fn main() {
    let bench = Bench::from_args();
    for size in [16, 64, 1024] {
        let payload = payload(size);
        let name = format!("outbox: put and take one of 512, {size} B");
        let mut outgo = Outgo::default();
        bench.batches(&name, || (), |()| outgo.put_and_take(&payload, 512), SAMPLES);
        let name = format!("mailbox: put and take one of 512, {size} B");
        let mut mail = Mail::default();
        bench.batches(&name, || (), |()| mail.put_and_take(&payload, 512), SAMPLES);
    }
    let paths: Vec<String> = (0..ROUTES).map(|i| format!("bench.group-{}.route-{i}", i % 100)).collect();
    let declared = || Registry::with_intents(&paths).expect("the paths are in order");
    let link = |mut registry: Registry| assert!(registry.declare_interests(&paths) >= paths.len());
    bench.batches("registry: link one of 10,000 routes", declared, link, ROUTES);
}
