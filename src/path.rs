//! Dotted paths: the names of endpoints, and the part of a route that says where.

use crate::error::{Error, quote};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A dotted path, such as `robot.arm.imu`: the name of an endpoint, and its namespace.
///
/// The rule: 1 to 255 bytes; segments of 1 to 63 bytes, separated by single dots; a segment holds
/// only the letters `A`-`Z` and `a`-`z`, digits, `_` and `-`. Upper and lower case are different.
/// Cloning is cheap. Paths are ordered as their texts are.
///
/// There are no wildcards, on purpose: peers and routes are known when a robot is designed.
///
/// ```
/// use bowline::Path;
/// let path: Path = "robot.arm.imu".parse()?;
/// assert_eq!(path.segments().collect::<Vec<_>>(), ["robot", "arm", "imu"]);
/// assert_eq!(path.to_string(), "robot.arm.imu");
/// # Ok::<(), bowline::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Arc<str>);

impl Path {
    /// The most bytes a path may have: 255.
    pub const MAX_BYTES: usize = 255;

    /// The most bytes one segment may have: 63.
    pub const MAX_SEGMENT_BYTES: usize = 63;

    /// Reads a path.
    ///
    /// ```
    /// use bowline::Path;
    /// assert!(Path::parse("robot.base").is_ok());
    /// assert!(Path::parse("robot..base").is_err());
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidPath`], naming the rule that is broken.
    pub fn parse(text: &str) -> Result<Path, Error> {
        match broken_rule(text) {
            None => Ok(Path(text.into())),
            Some(rule) => Err(Error::InvalidPath { value: quote(text), rule }),
        }
    }

    /// The whole path as text.
    ///
    /// ```
    /// # use bowline::Path;
    /// assert_eq!(Path::parse("robot.base")?.as_str(), "robot.base");
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments from left to right; there is at least one.
    ///
    /// ```
    /// # use bowline::Path;
    /// assert_eq!(Path::parse("robot.base")?.segments().last(), Some("base"));
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> + '_ {
        self.0.split('.')
    }

    /// Whether this path is `prefix` or lies below it. Whole segments are compared.
    ///
    /// ```
    /// # use bowline::Path;
    /// let arm = Path::parse("robot.arm")?;
    /// assert!(arm.is_under(&Path::parse("robot")?));
    /// assert!(arm.is_under(&arm));
    /// assert!(!arm.is_under(&Path::parse("robot.a")?));
    /// # Ok::<(), bowline::Error>(())
    /// ```
    pub fn is_under(&self, prefix: &Path) -> bool {
        match self.0.strip_prefix(&*prefix.0) {
            Some(rest) => rest.is_empty() || rest.starts_with('.'),
            None => false,
        }
    }
}

impl FromStr for Path {
    type Err = Error;
    fn from_str(text: &str) -> Result<Path, Error> {
        Path::parse(text)
    }
}

impl AsRef<str> for Path {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({})", self.0)
    }
}

fn broken_rule(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty; give 1 to 255 bytes, such as `robot.arm`");
    }
    if text.len() > Path::MAX_BYTES {
        return Some("it is longer than 255 bytes");
    }
    for segment in text.split('.') {
        if segment.is_empty() {
            return Some("no dot may stand at the start, at the end, or beside another dot");
        }
        if !segment.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
            return Some(
                "segments hold only the letters A-Z and a-z, digits, `_` and `-`, and dots separate them, \
                 as in `robot.arm`",
            );
        }
        if segment.len() > Path::MAX_SEGMENT_BYTES {
            return Some("a segment between two dots is longer than 63 bytes");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    fn rule(text: &str) -> String {
        match Path::parse(text) {
            Err(Error::InvalidPath { rule, .. }) => rule.to_owned(),
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    #[test]
    fn valid_paths_are_taken_as_they_are() {
        let long_segment = "s".repeat(63);
        let long = [&*long_segment; 4].join(".");
        assert_eq!(long.len(), 255);
        for text in ["a", "Z", "0", "_", "-", "robot.arm.imu", "A-1_b.c", &long_segment, &long] {
            assert_eq!(path(text).as_str(), text);
        }
    }

    #[test]
    fn every_broken_rule_is_named() {
        assert!(rule("").contains("empty"));
        assert!(rule(&["s".repeat(63).as_str(); 5].join(".")).contains("255"));
        assert!(rule(&"s".repeat(64)).contains("63"));
        assert!(rule(&format!("robot.{}", "s".repeat(64))).contains("63"));
        for text in [".", "..", ".robot", "robot.", "robot..arm"] {
            assert!(rule(text).contains("dot"), "{text}");
        }
        for text in ["robot/arm", "robot arm", "röbot", "robot.*", "a@b", "a#b", "a\0b", "a\nb", "robot:1"] {
            assert!(rule(text).contains("letters"), "{text}");
        }
    }

    #[test]
    fn an_error_names_the_value_without_its_control_characters() {
        let text = Path::parse("robot\n.arm").unwrap_err().to_string();
        assert!(text.contains(r#""robot\n.arm""#), "{text}");
    }

    #[test]
    fn a_prefix_matches_whole_segments_only() {
        let arm = path("robot.arm");
        assert!(!arm.is_under(&path("robot.a")));
        assert!(!arm.is_under(&path("rob")));
        assert!(!arm.is_under(&path("robot.arm.imu")));
        assert!(!arm.is_under(&path("arm")));
        assert!(!path("robot.arm-2").is_under(&arm));
        assert!(!path("Robot.arm").is_under(&path("robot")));
        assert!(arm.is_under(&path("robot")));
        assert!(arm.is_under(&arm));
        assert!(path("robot.arm.imu.x").is_under(&arm));
    }

    proptest! {
        #[test]
        fn a_path_reads_back_as_it_was_written(text in "[A-Za-z0-9_-]{1,9}(\\.[A-Za-z0-9_-]{1,9}){0,9}") {
            let path = path(&text);
            prop_assert_eq!(path.to_string(), text.clone());
            prop_assert_eq!(path.segments().collect::<Vec<_>>().join("."), text);
        }

        #[test]
        fn any_text_gives_a_path_or_an_error(text in any::<String>()) {
            let _ = Path::parse(&text);
        }

        #[test]
        fn below_means_the_same_leading_segments(a in "[ab](\\.[ab]){0,3}", b in "[ab](\\.[ab]){0,3}") {
            let (a, b) = (path(&a), path(&b));
            let (mine, theirs): (Vec<_>, Vec<_>) = (a.segments().collect(), b.segments().collect());
            prop_assert_eq!(a.is_under(&b), mine.starts_with(&theirs));
        }
    }
}
