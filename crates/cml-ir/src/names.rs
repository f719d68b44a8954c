//! Names that come from data and go into files: of columns and of classes.

/// Most names in one list.
pub const MAX_NAMES: usize = 1 << 16;
/// Most bytes of a name.
pub const MAX_NAME_BYTES: usize = 256;

/// What is wrong with the name of a column or a class, if anything: it is empty, longer than
/// [`MAX_NAME_BYTES`], or holds control characters, which a terminal would obey.
pub fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.len() > MAX_NAME_BYTES {
        Some("is longer than 256 bytes")
    } else if name.chars().any(char::is_control) {
        Some("holds control characters")
    } else {
        None
    }
}

/// What is wrong with a list of names, if anything: there are more than [`MAX_NAMES`], one is not
/// valid by [`name_fault`], or two are the same. The words continue `the names of its columns`.
pub fn names_fault(names: &[String]) -> Option<String> {
    if names.len() > MAX_NAMES {
        return Some(format!("are {}, limit {MAX_NAMES}", names.len()));
    }
    let mut seen = std::collections::BTreeSet::new();
    names.iter().enumerate().find_map(|(i, name)| {
        if let Some(fault) = name_fault(name) {
            return Some(format!("are not valid: number {i} {fault}"));
        }
        (!seen.insert(name)).then(|| format!("are not valid: {name:?} occurs twice"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named() {
        let of = |names: &[&str]| names_fault(&names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["a", "größe in cm"]), None);
        assert_eq!(of(&["a", ""]).unwrap(), "are not valid: number 1 is empty");
        assert_eq!(of(&["a", "b", "a"]).unwrap(), "are not valid: \"a\" occurs twice");
        assert_eq!(
            of(&["\u{1b}[2J"]).unwrap(),
            "are not valid: number 0 holds control characters"
        );
        assert_eq!(name_fault(&"x".repeat(256)), None);
        assert_eq!(name_fault(&"x".repeat(257)), Some("is longer than 256 bytes"));
        let many: Vec<String> = (0..=MAX_NAMES).map(|i| i.to_string()).collect();
        assert_eq!(names_fault(&many).unwrap(), "are 65537, limit 65536");
    }
}
