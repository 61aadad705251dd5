//! Unix sockets.

use super::socket::{Acceptor, BACKLOG, Stream};
use super::{Cancel, Connection, Listener, Pauses, Transport, cancelled, deadline_after};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Connections between programs of one machine, `unix:///run/robot.sock`.
///
/// A socket file that a crashed program left behind is replaced; one that somebody listens at is an
/// error. The file is removed when the listener is dropped. Who may connect is decided by the rights
/// of its directory and the process's umask. The system takes at most 107 bytes for the path (103 on
/// the BSDs and macOS). A peer that reads nothing holds at most 512 KiB in the system.
///
/// ```
/// use bowline::transport::{Cancel, Transport, Unix};
/// use std::time::Duration;
/// let socket = std::env::temp_dir().join(format!("bowline-doc-{}.sock", std::process::id()));
/// let listener = Unix.listen(&socket.to_string_lossy())?;
/// let here = Unix.dial(&listener.address(), Duration::from_secs(1), &Cancel::default())?;
/// let there = listener.accept()?;
/// here.write(b"ahoy")?;
/// let mut buffer = [0; 16];
/// let length = there.read(&mut buffer)?;
/// assert_eq!(&buffer[..length], b"ahoy");
/// drop(listener);
/// assert!(!socket.exists());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Unix;

impl Transport for Unix {
    fn scheme(&self) -> &str {
        "unix"
    }

    fn dial(&self, address: &str, timeout: Duration, cancel: &Cancel) -> io::Result<Arc<dyn Connection>> {
        let deadline = deadline_after(timeout);
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        let socket = new_socket()?;
        socket.set_nonblocking(true)?;
        let target = SockAddr::unix(address)?;
        let mut pauses = Pauses::new();
        loop {
            match socket.connect(&target) {
                Ok(()) => break,
                // The listener's backlog is full; nothing is under way.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => pauses.wait(deadline, cancel)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(explain(address, error)),
            }
        }
        socket.set_nonblocking(false)?;
        Ok(Arc::new(Stream::new(socket, address.to_owned())))
    }

    fn listen(&self, address: &str) -> io::Result<Arc<dyn Listener>> {
        let target = SockAddr::unix(address)?;
        let socket = new_socket()?;
        if let Err(error) = socket.bind(&target) {
            if error.kind() != io::ErrorKind::AddrInUse {
                return Err(error);
            }
            remove_stale(address, &target)?;
            socket.bind(&target)?;
        }
        // Between these two calls the file looks stale to another program that starts at the same
        // address in the same microseconds. Both are then told nothing; a lock file would be needed.
        let file = File::of(address)?;
        socket.listen(BACKLOG)?;
        let acceptor = Acceptor::new(socket);
        Ok(Arc::new(UnixListener {
            address: address.to_owned(),
            acceptor,
            accepted: AtomicU64::new(0),
            _file: file,
        }))
    }
}

struct UnixListener {
    address: String,
    acceptor: Acceptor,
    accepted: AtomicU64,
    /// Declared last: the socket is closed before its file is removed.
    _file: File,
}

impl Listener for UnixListener {
    fn accept(&self) -> io::Result<Arc<dyn Connection>> {
        let stream = self.acceptor.accept(|socket, _| {
            set_buffer(&socket)?;
            // The dialling side has no name, so connections are told apart by number.
            let number = self.accepted.fetch_add(1, Ordering::Relaxed) + 1;
            Ok(Stream::new(socket, format!("{}#{number}", self.address)))
        })?;
        Ok(Arc::new(stream))
    }

    fn address(&self) -> String {
        self.address.clone()
    }

    fn close(&self) {
        self.acceptor.close();
    }
}

/// The socket file of a listener, removed on drop unless another has taken its place.
struct File {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl File {
    fn of(address: &str) -> io::Result<File> {
        let data = fs::symlink_metadata(address)?;
        Ok(File { path: address.into(), device: data.dev(), inode: data.ino() })
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let ours = |data: &fs::Metadata| data.dev() == self.device && data.ino() == self.inode;
        if fs::symlink_metadata(&self.path).is_ok_and(|data| ours(&data)) {
            if let Err(error) = fs::remove_file(&self.path) {
                log::warn!("the socket {} could not be removed: {error}", self.path.display());
            }
        }
    }
}

fn new_socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    set_buffer(&socket)?;
    Ok(socket)
}

fn set_buffer(socket: &Socket) -> io::Result<()> {
    socket.set_send_buffer_size(SEND_BUFFER)
}

/// Removes the socket file of a program that is gone; an error if it is anything else.
fn remove_stale(address: &str, target: &SockAddr) -> io::Result<()> {
    let in_use = |text: String| Err(io::Error::new(io::ErrorKind::AddrInUse, text));
    match fs::symlink_metadata(address) {
        Ok(data) if !data.file_type().is_socket() => {
            return in_use(format!("`{address}` exists and is no socket; it is left as it is"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(target) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            log::info!("the socket {address} was left behind by a program that is gone: replacing it");
            fs::remove_file(address)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(()) => in_use(format!("somebody listens at `{address}`")),
        Err(error) => in_use(format!("somebody may listen at `{address}`: {error}")),
    }
}

/// The most frequent mistake is a URL without the peer's path, which makes the directory the address.
fn explain(address: &str, error: io::Error) -> io::Error {
    match fs::metadata(address) {
        Ok(data) if data.is_dir() => {
            let text = format!(
                "`{address}` is a directory, not a socket; the last segment of a unix URL is the peer's path: \
                 `unix:///run/robot.sock/robot.base`, or `/*` for any peer"
            );
            io::Error::new(io::ErrorKind::InvalidInput, text)
        }
        _ => error,
    }
}

/// The send buffer asked of the system for each connection, in bytes. Linux counts its own
/// bookkeeping too, doubles the number for it, and allows at most `net.core.wmem_max`. There is no
/// receive buffer: what is sent stays in the sender's until it is read.
const SEND_BUFFER: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("bowline-unix-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str) -> String {
            self.0.join(name).to_str().unwrap().to_owned()
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn dial(address: &str) -> io::Result<Arc<dyn Connection>> {
        Unix.dial(address, Duration::from_secs(5), &Cancel::default())
    }

    fn listen_error(address: &str) -> io::Error {
        Unix.listen(address).err().unwrap()
    }

    #[test]
    fn a_socket_left_behind_is_replaced() {
        let directory = Directory::new("stale");
        let address = directory.file("robot.sock");
        drop(std::os::unix::net::UnixListener::bind(&address).unwrap());
        assert!(fs::exists(&address).unwrap(), "std leaves the file behind");
        let listener = Unix.listen(&address).unwrap();
        let here = dial(&address).unwrap();
        listener.accept().unwrap();
        assert_eq!(here.remote(), address);
    }

    #[test]
    fn a_live_socket_is_an_error_that_names_it_and_stays() {
        let directory = Directory::new("live");
        let address = directory.file("robot.sock");
        let listener = Unix.listen(&address).unwrap();
        let error = listen_error(&address);
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address), "{error}");
        dial(&address).unwrap();
        listener.accept().unwrap();
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_as_it_is() {
        let directory = Directory::new("file");
        let address = directory.file("notes");
        fs::write(&address, "precious").unwrap();
        let error = listen_error(&address);
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("no socket"), "{error}");
        assert_eq!(fs::read_to_string(&address).unwrap(), "precious");
    }

    #[test]
    fn a_listener_removes_its_own_file_and_no_other() {
        let directory = Directory::new("drop");
        let address = directory.file("robot.sock");
        let first = Unix.listen(&address).unwrap();
        fs::rename(&address, directory.file("moved")).unwrap();
        let second = Unix.listen(&address).unwrap();
        drop(first);
        dial(&address).unwrap();
        drop(second);
        assert!(!fs::exists(&address).unwrap());
    }

    #[test]
    fn dialling_a_directory_says_what_is_missing_in_the_url() {
        let directory = Directory::new("directory");
        let error = dial(directory.0.to_str().unwrap()).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("last segment"), "{error}");
    }

    #[test]
    fn connections_are_told_apart_in_events() {
        let directory = Directory::new("names");
        let address = directory.file("robot.sock");
        let listener = Unix.listen(&address).unwrap();
        let _here = (dial(&address).unwrap(), dial(&address).unwrap());
        assert_eq!(listener.accept().unwrap().remote(), format!("{address}#1"));
        assert_eq!(listener.accept().unwrap().remote(), format!("{address}#2"));
    }
}
