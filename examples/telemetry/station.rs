//! The station: wants everything the robot supplies, and keeps the figures.

use crate::figures::Figures;
use crate::messages::{About, CpuLoad, Memory, Network, ROBOT, Temperatures};
use bowline::{Endpoint, Error, Interest, InterestSettings, Message};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A thread for each route, waiting for its samples.
pub struct Station {
    watched: Vec<Arc<Watched>>,
    threads: Vec<JoinHandle<()>>,
    about: Arc<Mutex<Option<About>>>,
    ending: Arc<AtomicBool>,
}

/// One route's figures, shared by the thread that counts and the one that shows.
struct Watched(Mutex<Figures>);

impl Watched {
    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Station {
    pub fn new(endpoint: &Endpoint) -> Result<Self, Error> {
        let mut station =
            Self { watched: Vec::new(), threads: Vec::new(), about: Arc::default(), ending: Arc::default() };
        let about = station.about.clone();
        station.watch::<About>(endpoint, "about", move |newest| {
            *about.lock().unwrap_or_else(PoisonError::into_inner) = Some(newest.clone());
            format!("{}, Linux {}, {} processors", newest.host, newest.kernel, newest.processors)
        })?;
        station.watch::<CpuLoad>(endpoint, "cpu", |load| {
            let each: Vec<String> = load.each.iter().map(|one| format!("{:.0}", one * 100.0)).collect();
            format!("{:.0} % ({}), load {:.2}", load.total * 100.0, each.join(" "), load.one_minute)
        })?;
        station.watch::<Memory>(endpoint, "memory", |memory| {
            let mib = |kib: u64| kib / 1024;
            format!("{} of {} MiB free", mib(memory.available_kib), mib(memory.total_kib))
        })?;
        station.watch::<Network>(endpoint, "network", |network| {
            let busiest = network.interfaces.iter().max_by_key(|i| i.received_bytes + i.sent_bytes);
            busiest.map_or_else(String::new, |i| {
                let mib = |bytes: u64| bytes >> 20;
                format!("{}: {} MiB in, {} MiB out", i.name, mib(i.received_bytes), mib(i.sent_bytes))
            })
        })?;
        station.watch::<Temperatures>(endpoint, "temperature", |all| {
            let texts: Vec<String> =
                all.sensors.iter().map(|t| format!("{} {:.1} °C", t.sensor, t.celsius)).collect();
            texts.join(", ")
        })?;
        Ok(station)
    }

    fn watch<T: Message>(
        &mut self,
        endpoint: &Endpoint,
        name: &'static str,
        describe: impl Fn(&T) -> String + Send + 'static,
    ) -> Result<(), Error> {
        let path = format!("{ROBOT}.{name}");
        let interest: Interest<T> = endpoint.interest_with(&path, InterestSettings::new().queue(64))?;
        let watched = Arc::new(Watched(Mutex::new(Figures::new(name))));
        watched.figures().route = Some(interest.route().to_string());
        self.watched.push(watched.clone());
        let ending = self.ending.clone();
        self.threads.push(thread::spawn(move || {
            while !ending.load(Ordering::Relaxed) {
                match interest.recv_timeout(Duration::from_millis(100)) {
                    Ok(sample) => {
                        let age = sample.age();
                        let newest = describe(&sample);
                        let counts = interest.counts();
                        let mut figures = watched.figures();
                        figures.note(age);
                        figures.newest = newest;
                        figures.lost = counts.lost_here + counts.lost_there;
                    }
                    Err(e) if e.is_timeout() => {}
                    Err(_) => return,
                }
            }
        }));
        Ok(())
    }

    /// The figures of all routes; what `read` answers, in their order.
    pub fn each<R>(&self, mut read: impl FnMut(&mut Figures) -> R) -> Vec<R> {
        self.watched.iter().map(|watched| read(&mut watched.figures())).collect()
    }

    /// Which routes should have had data and had none; all, when nobody said what there is.
    pub fn silent(&self) -> Vec<&'static str> {
        let about = self.about.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let expected = |name: &str| match &about {
            Some(about) => name == "about" || about.supplies.iter().any(|supplied| supplied == name),
            None => true,
        };
        let silent = self.each(|figures| (figures.received == 0).then_some(figures.name));
        silent.into_iter().flatten().filter(|name| expected(name)).collect()
    }

    /// Ends the threads.
    pub fn close(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The median round trip of the first link that is up.
pub fn round_trip(endpoint: &Endpoint) -> Option<Duration> {
    let links = endpoint.links();
    let up = links.iter().find(|link| link.state.is_up())?;
    up.round_trip.as_ref().map(|trip| trip.p50)
}
