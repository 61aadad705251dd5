//! One of each kind of line.

use super::*;

pub fn tcp() -> Line {
    over_tcp("127.0.0.1")
}

pub fn tcp_v6() -> Line {
    // A machine without IPv6 runs these over IPv4 once more.
    let has_v6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    over_tcp(if has_v6 { "[::1]" } else { "127.0.0.1" })
}

fn over_tcp(host: &str) -> Line {
    // Bound and not listening: refused for as long as the socket lives.
    let address: std::net::SocketAddr = format!("{host}:0").parse().unwrap();
    let domain = socket2::Domain::for_address(address);
    let held = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
    held.bind(&address.into()).unwrap();
    let nobody = held.local_addr().unwrap().as_socket().unwrap().to_string();
    Line {
        transport: Arc::new(Tcp),
        address: address.to_string(),
        nobody: (nobody, Box::new(held)),
        _directory: None,
    }
}

pub fn udp() -> Line {
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    Line {
        transport: Arc::new(Udp),
        address: "127.0.0.1:0".to_owned(),
        nobody: (nobody, Box::new(())),
        _directory: None,
    }
}

#[cfg(unix)]
pub fn unix() -> Line {
    let directory = Directory::new();
    let file = |name: &str| directory.0.join(name).to_str().unwrap().to_owned();
    Line {
        transport: Arc::new(bowline::transport::Unix),
        address: file("robot.sock"),
        nobody: (file("nobody.sock"), Box::new(())),
        _directory: Some(directory),
    }
}

pub fn in_memory() -> Line {
    over_memory(Arc::new(Memory))
}

pub fn of_a_user() -> Line {
    over_memory(Arc::new(Tunnel))
}

fn over_memory(transport: Arc<dyn Transport>) -> Line {
    Line {
        transport,
        address: format!("contract-{}", number()),
        nobody: ("nobody at all".into(), Box::new(())),
        _directory: None,
    }
}

pub struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("bowline-{}-{}", std::process::id(), number()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A user's own transport: it turns every byte over on the way and implements no more than it must.
struct Tunnel;

impl Transport for Tunnel {
    fn scheme(&self) -> &str {
        "tunnel"
    }

    fn dial(&self, address: &str, timeout: Duration, cancel: &Cancel) -> io::Result<Arc<dyn Connection>> {
        Ok(Arc::new(TunnelEnd(Memory.dial(address, timeout, cancel)?)))
    }

    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>> {
        Ok(Arc::new(TunnelListener(Memory.listen(address)?)))
    }
}

struct TunnelListener(Arc<dyn Listener>);

impl Listener for TunnelListener {
    fn accept(&self) -> io::Result<Arc<dyn Connection>> {
        Ok(Arc::new(TunnelEnd(self.0.accept()?)))
    }

    fn address(&self) -> String {
        self.0.address()
    }

    fn close(&self) {
        self.0.close();
    }
}

struct TunnelEnd(Arc<dyn Connection>);

impl Connection for TunnelEnd {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(buffer)?;
        buffer[..length].iter_mut().for_each(|byte| *byte = !*byte);
        Ok(length)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let turned: Vec<_> = bytes.iter().map(|byte| !byte).collect();
        self.0.write(&turned)
    }

    fn close(&self) {
        self.0.close();
    }

    fn remote(&self) -> String {
        self.0.remote()
    }
}
