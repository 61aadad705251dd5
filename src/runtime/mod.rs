//! The threads and the clock: where the pure layers meet the operating system.
//!
//! ```text
//!  application threads            dispatcher (one)                 per link: two
//!  intent.send ─────────────┐   owns the engine and tables    ┌─► writer ─► connection
//!  interest.recv ◄─ inbox   │   of lines, intents, interests  │     ▲
//!        ▲                  │                                 │     │ control frames
//!        │                  └──────── line's outbox ──────────┘     │
//!        │                             ▲ links and unlinks          │
//!        └──────── samples ◄───────── reader ── control ───────► dispatcher
//! ```
//!
//! | File | Thread | What |
//! | --- | --- | --- |
//! | `dispatcher`, `actions`, `losses`, `refusals` | dispatcher | takes inputs, asks the engine, does what it wants done; reports losses |
//! | `checkups` | dispatcher | looks at lines of known speed once a second: faults, load, budget |
//! | `closing`, `gate` | dispatcher | the end of lines and of the endpoint; what lets nothing in from then on |
//! | `dial`, `acceptor` | reader, acceptor | make connections |
//! | `session` | reader | one connection: the reader here, its writer beside it |
//! | `reader`, `inlets` | reader | bytes into frames, samples sorted by alias into inboxes |
//! | `writer` | writer | the outbox into the connection, as much at once as there is |
//! | `stepped` | | the same for a simulated endpoint, without threads: stepped by its world |
//! | `line`, `backlog` | all | one connection as they share it: the outbox, and what each has to tell the others |
//! | `outlets` | the sending one | an intent: the list of its outlets, and the way through them |
//! | `packing` | the sending one, reader | compression, with the feature `lz4` |
//! | `feed` | reader, writer | samples passed on from one line to another, and their credit back |
//! | `inbox`, `source` | reader, and the receiving one | an interest: its mailbox or callback, and each intent that supplies it |
//! | `group` | a group's reader, the sending one, dispatcher | groups: a thread each, and no part of the above |
//! | `signal`, `token`, `events`, `threads`, `clock`, `status`, `input` | | waking, the stream of events, naming and joining threads, time, views |
//!
//! # The path of a sample
//! `Intent::send` takes over the newest list of outlets if there is one (an atomic look), encodes, and puts the
//! frame into the outbox of the line under its lock: one buffer for all routes of the link, so that the writer
//! swaps it for an empty one and writes hundreds of samples in one call. If the line is quiet, the sender writes the
//! frame by itself instead, without waiting and without the lock; and under load, whoever fills the buffer while
//! nobody writes does the same. The reader at the other end reads a chunk, cuts it into frames, notes where the
//! samples of each alias lie, and hands each inbox its samples of the whole chunk at once, in the chunk itself
//! if they are a good part of it: one lock and one wake-up a chunk, and no copy. The receiving thread takes what there is and decodes it as it is read.
//! A callback is called by the reader instead, from where the bytes lie. Within one endpoint `send` puts an `Arc` of
//! the message straight into the inbox.
//!
//! A [relay](crate::EndpointBuilder::relay) has no more than that: the reader that brings a sample puts its bytes into
//! the outbox of the line it goes to, as a sender would.
//!
//! Control goes another way: the reader hands every other frame to the dispatcher by a queue of the line's own, and
//! the dispatcher's frames lie apart in the outbox and are written first, unless they have to stand in line with
//! the samples. What the dispatcher changes about an alias the reader takes over with its next chunk.
//!
//! # Who waits for whom
//! The dispatcher waits for nobody but its channel. A reader waits for its socket and, where its peer floods it with
//! control frames, for the dispatcher; never for an application. A writer waits for its socket. An application
//! waits as long as it said. Locks on the way of a sample are held for a copy or a swap and not nested, but for the
//! one around a retained sample while the dispatcher gives it to a latecomer; only a callback runs under one, its own.
//!
//! # How it is tested
//! What several of these threads touch at once, lines with their outbox and wake-up, inboxes, signals and the
//! hand-over of outlets, takes its locks and atomics from `sync`, which can run threads in every order: tests named
//! `interleaved` do. Everything else is tested over real connections and, below this layer, without threads.
//!
//! # What was measured
//! With the throw-away programs from which this came, over TCP loopback on two cores, pinned (plain blocking
//! sockets: 15.4 µs a round trip, 36 M samples of 64 B a second in batches):
//!
//! | How a sample travels | Round trip, median | 64 B a second |
//! | --- | --- | --- |
//! | through the dispatcher both ways | 41 µs | 7.4 M |
//! | channel to the writer, reader to the mailbox | 23 µs | 10.6 M |
//! | one buffer per link that the writer swaps; whole chunks in | 23 µs | 25 M |
//! | the same, inline whenever it can | 20.6 µs | 0.5 M |
//! | the same, inline after 20 µs of quiet | 20.3 µs | 16 M |
//! | inline after 5 µs of quiet, and a callback | 16.7 µs | 14 M |
//!
//! Two small reads for each message cost a factor of six.
//!
//! The library took the last two rows together, with a gate that notices load: a sender writes inline only
//! on a line that was quiet for 5 µs, by a thread that wrote nothing inline for as long, and not while the
//! writer takes more than one sample at a time. `cargo run --release --example perf` shows what came of it, beside
//! plain sockets in the same run; `cargo bench --features measuring` the parts alone. On the machine where
//! the README's table was made (2 cores, virtual):
//!
//! - The outbox takes a sample of 64 B in 11 ns and a mailbox passes one on in 7 ns.
//! - Without the part of the gate that looks at the thread, fan-out to eight links fell to 0.09 M samples a
//!   second: by the time the first line's turn came again, it had been quiet for long.
//! - An outbox of 64 KiB beats one of 256 KiB by a third at 64 B and at 64 KiB, and one of 4 MiB by more: what is
//!   written is still in the cache.
//! - Samples of raw bytes held in place (up to 64 B inside the value) were slower than ones shared by count: each
//!   move of a value just written costs more than counting. (Tried twice; the second time the reading thread took 40 to 45 ns a
//!   sample instead of 14 to 17.)
//! - A thread that keeps the count of the source it dropped for the next sample was no faster, but 3 ns slower: of the four
//!   counts of a sample of raw bytes the first costs most, whichever it is, as it waits for all that was written before.
//! - Once a sample was simply queued, the outbox lets those pass that follow it while nothing else is done to it: a sample of
//!   16 B sent one by one takes 228 instructions of the sending thread instead of 406, and 24 ns instead of 32, of
//!   which the system has about 10.
//! - Credit written by the thread that took the samples, instead of by the writer thread, gave 20 to 35 %: on
//!   a busy core the writer comes late.
//! - A sender that writes the batch it filled, rather than sleep until the writer has taken it, gave some 10 to
//!   20 % at 64 B. Written at 60 of 64 KiB it was better than at 32 or 16.
//! - Pieces of 1 MiB samples read to their place, and cut as large as the line was measured to be fast also where it stands
//!   idle for moments: 1.7 GB/s, and 1.8 by a callback, where 1.4 to 1.5 were copied there by pieces of 64 KiB (in turn).
//! - Copies by this processor (`rep movsb`, which Linux uses for sockets) are twenty times slower where the destination is 1
//!   to 31 bytes ahead of the source modulo 4096. Plain sockets meet that with each copy or with none; behind frames of
//!   changing heads about one in a hundred does.
//! - Of the reading of samples of 64 KiB a third is the wake-up of the application for each: with a callback they came at
//!   1.9 to 2.2 GB/s instead of 1.4 to 1.7. A plain program with a thread that reads and one that takes came to 0.65 of one
//!   without. Yet to wake it once for several samples, where the socket says that more is there, made no difference (1.45 GB/s
//!   both ways, in turn).
//! - What comes back costs more than it says: each CREDIT or MARKED wakes the reader, which mostly finds the socket locked by
//!   the sender and sleeps again. Marks each 512 KiB instead of 128 gave 40 % at 1 KiB; marks no more than once a millisecond, but
//!   each MiB, and credits each 512 KiB instead of 128 another quarter at 64 KiB (1.56 and 1.96 GB/s; with each process on one
//!   processor 2.2 to 2.4 and 2.6 to 2.8). All medians, in turn.
//! - A sender that puts in a sample and leaves no room for another as large writes the batch too: at 32 KiB, where one fits, it
//!   and the writer had taken turns for each (1.6 GB/s instead of 0.75).
//! - Samples read in the chunk they came in cost the reader 10 ns of its own instead of 16 to 21.
//! - With a TCP receive buffer of 256 KiB messages of 64 KiB came half as fast as with 1 MiB: waking a processor
//!   that sleeps takes microseconds, and both sides did it for nearly every message.
//! - At 64 B the sending thread and the receiving side, on a processor each, both spend some 45 ns a sample, of
//!   which the system has 14 to 19 and the counts of source and buffer in each sample 11, a lock 6.
//! - Many samples put in under one lock, and read where they lie without counts: 55 to 58 M samples of 16 B a second, where
//!   one call each made 26 to 28 M, in runs of their own minutes apart. Of that, a loop in the outbox in which nothing is
//!   decided gave a quarter (44 to 55 M, taken in turn).
//! - Within a process a sender that finds no room looks around for some microseconds before it sleeps, and reads no
//!   clock but the coarse one: 14 M samples a second instead of 8 M, where a plain channel made 13 M.
//! - In fan-out the batches are small, 9 KB each, as the first sample wakes a writer that then comes before the sender goes
//!   on. Writers that looked around before they slept took 720 of 800 % of their time for it, in 45,000 to 90,000 turns a second, and did half
//!   of the writing. So on a flooded line a writer naps, and the sender writes what it filled: see `flow::outbox`, `flood`. A writer that
//!   does not look around before it sleeps made 0.9 M samples a second where others made 6.4.
//! - Of the memory of an idle subscriber nine tenths are program text: nearly all of the 2.4 MB of `perf`, as the system maps
//!   64 KiB around what is touched, 1.3 MB of the C library and 0.2 MB of the loader. All processes share it.
//! - `CARGO_INCREMENTAL=1` costs the sending thread 6 ns a sample: small functions are not inlined across crates then.
//! - A reading of the clock takes 37 ns here, so under load one serves up to 32 samples.
#![doc = include_str!("../guide/shutdown.md")]

pub(crate) mod acceptor;
mod actions;
mod backlog;
pub(crate) mod carrier;
mod checkups;
pub(crate) mod clock;
mod closing;
pub(crate) mod dial;
pub(crate) mod dispatcher;
mod edits;
pub(crate) mod events;
pub(crate) mod feed;
mod gaps;
pub(crate) mod gate;
pub(crate) mod group;
pub(crate) mod inbox;
pub(crate) mod inlets;
pub(crate) mod input;
pub(crate) mod line;
mod losses;
pub(crate) mod outlets;
#[cfg(feature = "lz4")]
pub(crate) mod packing;
mod reader;
pub(crate) mod refusals;
pub(crate) mod session;
pub(crate) mod signal;
pub(crate) mod source;
pub(crate) mod stalls;
pub(crate) mod status;
#[cfg(feature = "testing")]
pub(crate) mod stepped;
pub(crate) mod threads;
mod token;
mod writer;
