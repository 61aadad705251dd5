//! Routes: typed names of what flows between endpoints.

use crate::error::{Error, quote};
use crate::path::Path;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A typed name, `Type@path`, such as `Imu@robot.arm.imu`; or hashed, `prefix#digest`, which hides
/// both. An intent and an interest meet where their routes are equal.
///
/// A type name is 1 to 127 bytes of printable ASCII without space, `@` and `#`. Cloning is cheap.
/// A route and its hashed form are different routes: both sides must hide it, in the same way.
///
/// ```
/// use bowline::{Path, Route};
/// let route = Route::new("Imu", &Path::parse("robot.arm.imu")?)?;
/// assert_eq!(route.to_string(), "Imu@robot.arm.imu");
/// assert_eq!(Route::parse("Imu@robot.arm.imu")?, route);
/// # Ok::<(), bowline::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route(Arc<Form>);

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Form {
    Plain { path: Path, type_name: Box<str> },
    Hashed { prefix: Path, digest: [u8; 32] },
}

impl Route {
    /// The most bytes a type name may have: 127.
    pub const MAX_TYPE_BYTES: usize = 127;

    /// The plain route `type_name@path`.
    ///
    /// ```
    /// # use bowline::{Path, Route};
    /// let path = Path::parse("robot.arm.imu")?;
    /// assert!(Route::new("[f32;3]", &path).is_ok());
    /// assert!(Route::new("two words", &path).is_err());
    /// # Ok::<(), bowline::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidTypeName`], naming the rule that is broken.
    pub fn new(type_name: &str, path: &Path) -> Result<Route, Error> {
        if let Some(rule) = broken_type_rule(type_name) {
            return Err(Error::InvalidTypeName { value: quote(type_name), rule });
        }
        Ok(Route(Arc::new(Form::Plain { path: path.clone(), type_name: type_name.into() })))
    }

    /// Reads a route, `Type@path` or `prefix#` and 64 lower-case hexadecimal digits.
    ///
    /// ```
    /// # use bowline::Route;
    /// let route = Route::parse("Imu@robot.arm.imu")?;
    /// assert_eq!(route.type_name(), Some("Imu"));
    /// assert!(Route::parse("robot.arm.imu").is_err());
    /// # Ok::<(), bowline::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidRoute`], [`Error::InvalidTypeName`] or [`Error::InvalidPath`], by what is wrong.
    pub fn parse(text: &str) -> Result<Route, Error> {
        let invalid = |rule: &str| Error::InvalidRoute { value: quote(text), rule: rule.to_owned() };
        if let Some((type_name, path)) = text.split_once('@') {
            return Route::new(type_name, &Path::parse(path)?);
        }
        let Some((prefix, digits)) = text.split_once('#') else {
            return Err(invalid("write `Type@path`, or `prefix#digest` for a hashed one"));
        };
        let prefix = Path::parse(prefix)?;
        match digest_from_hex(digits) {
            Some(digest) => Ok(Route::from_digest(prefix, digest)),
            None => Err(invalid("64 hexadecimal digits, the letters in lower case, must follow the `#`")),
        }
    }

    /// The same route with type and path hidden behind a SHA-256 digest; only `prefix`, which must be
    /// the path or lie above it, stays readable. [`Scope::Own`](crate::Scope::Own) judges a hashed
    /// route by its prefix.
    ///
    /// What hiding gives: whoever sees the route on the wire, in a log, or in the tables of a peer, and
    /// does not know type and path, cannot read them from it, and cannot turn the digest back.
    ///
    /// What it does not give: whoever can guess type and path can check the guess by hashing it, and
    /// names are often easy to guess. Nothing else is hidden: payload, sizes, timing, schema
    /// fingerprint, number of routes and the prefix stay visible. When two schemas differ, both sides
    /// exchange them, with their field names. It is neither encryption nor a right to
    /// the route: anybody who knows the digest can declare it.
    ///
    /// The digest is taken over the UTF-8 text `Type@path`. A route that is hashed already may get a
    /// shorter prefix; its digest stays.
    ///
    /// ```
    /// # use bowline::{Path, Route};
    /// let plain = Route::parse("Imu@robot.arm.imu")?;
    /// let hashed = plain.hashed(&Path::parse("robot")?)?;
    /// assert!(hashed.to_string().starts_with("robot#"));
    /// assert_eq!((hashed.type_name(), hashed.path()), (None, None));
    /// assert_ne!(hashed, plain);
    /// assert_eq!(hashed.to_string().parse::<Route>()?, hashed);
    /// # Ok::<(), bowline::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidRoute`] where `prefix` is neither the route's path nor above it.
    pub fn hashed(&self, prefix: &Path) -> Result<Route, Error> {
        if !self.is_under(prefix) {
            let rule = format!(
                "its path is not under the prefix `{prefix}`; use `{}` or leading segments of it",
                self.prefix()
            );
            return Err(Error::InvalidRoute { value: self.to_string(), rule });
        }
        let digest = match &*self.0 {
            Form::Hashed { digest, .. } => *digest,
            Form::Plain { path, type_name } => {
                let mut hash = hmac_sha256::Hash::new();
                hash.update(type_name.as_bytes());
                hash.update(b"@");
                hash.update(path.as_str().as_bytes());
                hash.finalize()
            }
        };
        Ok(Route::from_digest(prefix.clone(), digest))
    }

    /// The memory it holds, about, in bytes, with what surrounds its allocations.
    pub(crate) fn held(&self) -> usize {
        let texts = match &*self.0 {
            Form::Plain { path, type_name } => path.as_str().len() + type_name.len() + 32,
            Form::Hashed { prefix, .. } => prefix.as_str().len() + 16,
        };
        size_of::<Form>() + 32 + texts
    }

    /// The hashed route of these parts, as a peer sent them.
    pub(crate) fn from_digest(prefix: Path, digest: [u8; 32]) -> Route {
        Route(Arc::new(Form::Hashed { prefix, digest }))
    }

    /// Whether type and path are hidden.
    ///
    /// ```
    /// # use bowline::Route;
    /// assert!(!Route::parse("Imu@robot.arm.imu")?.is_hashed());
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn is_hashed(&self) -> bool {
        matches!(&*self.0, Form::Hashed { .. })
    }

    /// The name of the message type; `None` where it is hidden.
    ///
    /// ```
    /// # use bowline::Route;
    /// assert_eq!(Route::parse("Imu@robot.arm.imu")?.type_name(), Some("Imu"));
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn type_name(&self) -> Option<&str> {
        match &*self.0 {
            Form::Plain { type_name, .. } => Some(type_name),
            Form::Hashed { .. } => None,
        }
    }

    /// The path; `None` where it is hidden.
    ///
    /// ```
    /// # use bowline::Route;
    /// let route = Route::parse("Imu@robot.arm.imu")?;
    /// assert_eq!(route.path().map(|path| path.as_str()), Some("robot.arm.imu"));
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn path(&self) -> Option<&Path> {
        match &*self.0 {
            Form::Plain { path, .. } => Some(path),
            Form::Hashed { .. } => None,
        }
    }

    /// The part of the path that can be seen: all of it when plain, the prefix when hashed.
    ///
    /// ```
    /// # use bowline::{Path, Route};
    /// let route = Route::parse("Imu@robot.arm.imu")?;
    /// assert_eq!(route.prefix().as_str(), "robot.arm.imu");
    /// assert_eq!(route.hashed(&Path::parse("robot")?)?.prefix().as_str(), "robot");
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn prefix(&self) -> &Path {
        match &*self.0 {
            Form::Plain { path, .. } => path,
            Form::Hashed { prefix, .. } => prefix,
        }
    }

    /// The SHA-256 digest of a hashed route; `None` for a plain one.
    ///
    /// ```
    /// # use bowline::{Path, Route};
    /// let route = Route::parse("Imu@robot.arm.imu")?;
    /// assert_eq!(route.digest(), None);
    /// assert!(route.hashed(&Path::parse("robot")?)?.digest().is_some());
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn digest(&self) -> Option<[u8; 32]> {
        match &*self.0 {
            Form::Plain { .. } => None,
            Form::Hashed { digest, .. } => Some(*digest),
        }
    }

    /// Whether the visible part of the path is `prefix` or lies below it; whole segments are compared.
    ///
    /// ```
    /// # use bowline::{Path, Route};
    /// let route = Route::parse("Imu@robot.arm.imu")?;
    /// assert!(route.is_under(&Path::parse("robot.arm")?));
    /// assert!(!route.is_under(&Path::parse("robot.a")?));
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn is_under(&self, prefix: &Path) -> bool {
        self.prefix().is_under(prefix)
    }
}

impl FromStr for Route {
    type Err = Error;
    fn from_str(text: &str) -> Result<Route, Error> {
        Route::parse(text)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Form::Plain { path, type_name } => write!(f, "{type_name}@{path}"),
            Form::Hashed { prefix, digest } => {
                write!(f, "{prefix}#")?;
                digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Route({self})")
    }
}

fn broken_type_rule(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it is empty; give 1 to 127 bytes, such as `Imu`");
    }
    if name.len() > Route::MAX_TYPE_BYTES {
        return Some("it is longer than 127 bytes; give a shorter one with type_name");
    }
    if !name.bytes().all(|b| b.is_ascii_graphic() && b != b'@' && b != b'#') {
        return Some("only printable ASCII without space, `@` and `#` can stand in a route");
    }
    None
}

fn digest_from_hex(digits: &str) -> Option<[u8; 32]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let digits = digits.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests;
