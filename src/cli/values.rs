//! Parsers of single values of the command line: each checks the shape and says what was expected.

use std::time::Duration;

use crate::model::Checkout;

/// The name of a variation, or `NAME=LEVEL`, as an element of a list.
///
/// Whether it exists is the catalogue's to say. A leading `-` is refused because people know it
/// from other tools, where it removes a name: here that is `--skip`.
pub(super) fn name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("an empty name in the list: 'reprobe list' shows the names".into());
    }
    if let Some(rest) = text.strip_prefix(['-', '+']) {
        return Err(format!(
            "names have no sign: vary all but '{rest}' with --skip {rest}"
        ));
    }
    Ok(text.to_owned())
}

/// A pattern of outputs.
pub(super) fn glob(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("an empty pattern matches nothing".into());
    }
    match globset::Glob::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.kind().to_string()),
    }
}

/// What differences by the checkout alone count for.
pub(super) fn checkout(text: &str) -> Result<Checkout, String> {
    match text {
        "decides" => Ok(Checkout::Decides),
        "apart" => Ok(Checkout::Apart),
        _ => Err("expected `decides` or `apart`".into()),
    }
}

/// `NAME=VALUE`; the value may hold anything.
pub(super) fn assignment(text: &str) -> Result<(String, String), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!(
            "expected NAME=VALUE; to pass your own value on: --pass-env {text}"
        ));
    };
    Ok((variable_name(name)?, value.to_owned()))
}

/// The name of an environment variable.
pub(super) fn variable_name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("a variable needs a name".into());
    }
    if text.contains(['=', '\0']) {
        return Err("the name of a variable holds no '='".into());
    }
    Ok(text.to_owned())
}

/// A length of time: numbers with the units h, m, s, largest first: `90s`, `10m`, `1h30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time such as 90s, 10m or 1h30m".to_owned();
    let mut rest = text;
    let mut total = 0_u64;
    let mut largest = u64::MAX;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (digits, tail) = rest.split_at(end);
        let mut letters = tail.chars();
        let unit = match letters.next() {
            Some('h') => 3600,
            Some('m') => 60,
            Some('s') => 1,
            _ => return Err(wrong()),
        };
        let count = digits.parse::<u64>().map_err(|_| wrong())?;
        if unit >= largest {
            return Err(wrong());
        }
        largest = unit;
        total = count
            .checked_mul(unit)
            .and_then(|seconds| total.checked_add(seconds))
            .ok_or_else(|| "longer than can be counted".to_owned())?;
        rest = letters.as_str();
    }
    if total == 0 {
        return Err("expected a time longer than nothing, such as 90s".into());
    }
    Ok(Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_with_units_largest_first() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("1h5s"), Ok(Duration::from_secs(3605)));
        for wrong in [
            "",
            "90",
            "s",
            "1x",
            "5s1m",
            "1m1m",
            "0s",
            "99999999999999999h",
            "1.5h",
        ] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn signed_names_are_refused_with_the_right_option() {
        assert!(name("-time").unwrap_err().contains("--skip time"));
        assert_eq!(name("umask=002").as_deref(), Ok("umask=002"));
    }
}
