//! What the kernel's files say of the processors when a trial has fewer than the host.

/// The first `count` of the processors that the caller may use; at least one.
pub(super) fn first(allowed: &[usize], count: u32) -> Vec<usize> {
    let count = usize::try_from(count).unwrap_or(usize::MAX).max(1);
    allowed.iter().copied().take(count).collect()
}

/// Numbers in the kernel's list format: `0-2,5`.
pub(super) fn list(cpus: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let words: Vec<String> = ranges
        .into_iter()
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    words.join(",")
}

/// `/proc/cpuinfo` with the paragraphs of these processors alone.
pub(super) fn of_cpuinfo(text: &str, cpus: &[usize]) -> String {
    text.split_inclusive("\n\n")
        .filter(|paragraph| {
            let number = paragraph
                .lines()
                .find_map(|line| line.strip_prefix("processor")?.split(':').nth(1))
                .and_then(|number| number.trim().parse::<usize>().ok());
            number.is_none_or(|number| cpus.contains(&number))
        })
        .collect()
}

/// `/proc/stat` without the lines of other processors.
pub(super) fn of_stat(text: &str, cpus: &[usize]) -> String {
    text.lines()
        .filter(|line| {
            line.strip_prefix("cpu")
                .and_then(|rest| rest.split(' ').next())
                .and_then(|number| number.parse::<usize>().ok())
                .is_none_or(|number| cpus.contains(&number))
        })
        .flat_map(|line| [line, "\n"])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_chosen_processors_are_told_of() {
        assert_eq!(list(&[0, 1, 2, 5]), "0-2,5");
        assert_eq!(first(&[2, 3, 7], 2), [2, 3]);
        assert_eq!(first(&[2, 3], 0), [2]);
        let info = "processor\t: 0\nflags\t: a\n\nprocessor\t: 1\nflags\t: a\n\n";
        assert_eq!(of_cpuinfo(info, &[1]), "processor\t: 1\nflags\t: a\n\n");
        assert_eq!(
            of_stat("cpu  1 2\ncpu0 1\ncpu1 2\nintr 5\n", &[0]),
            "cpu  1 2\ncpu0 1\nintr 5\n"
        );
    }
}
