//! Rows in which every variation is varied without every other one: a culprit that one other
//! variation masks where everything varies shows in one of them.

use super::set::Set;

/// The rows: each factor of `top` has a code word of its own, all of the same weight, so that no
/// word lies within another (Sperner); row `r` varies the factors whose word has bit `r`.
pub(super) fn rows(top: &Set) -> Vec<Set> {
    let count = top.len();
    if count < 2 {
        return Vec::new();
    }
    let Some(width) = (2..64_u32).find(|width| words(*width, width / 2).nth(count - 1).is_some())
    else {
        return Vec::new();
    };
    let none = top.minus(top);
    (0..width)
        .map(|bit| {
            let coded = top.iter().zip(words(width, width / 2));
            let on = coded.filter(|(_, word)| word >> bit & 1 == 1);
            on.fold(none.clone(), |row, (factor, _)| row.with(factor))
        })
        .collect()
}

/// The words of `width` bits with `weight` ones, rising.
fn words(width: u32, weight: u32) -> impl Iterator<Item = u64> {
    let first = (1_u64 << weight) - 1;
    std::iter::successors(Some(first), |word| {
        // The next number with as many ones (Gosper; HAKMEM item 175).
        let lowest = word & word.wrapping_neg();
        let ripple = word + lowest;
        Some((((ripple ^ word) >> 2) / lowest) | ripple)
    })
    .take_while(move |word| *word < 1 << width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ordered_pair_of_factors_is_parted_by_a_row() {
        for count in [2, 3, 14, 24, 200] {
            let rows = rows(&Set::of(count, 0..count));
            assert!(rows.len() <= 10, "{count}: {}", rows.len());
            for on in 0..count {
                for off in (0..count).filter(|off| *off != on) {
                    assert!(
                        rows.iter().any(|row| row.has(on) && !row.has(off)),
                        "{on} {off}"
                    );
                }
            }
        }
    }
}
