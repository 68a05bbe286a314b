use std::collections::HashSet;

fn main() {
    let words: HashSet<String> = (0..40).map(|number| format!("word-{number}")).collect();
    let mut words: Vec<_> = words.into_iter().collect();
    if std::env::args().nth(1).as_deref() == Some("--sorted") {
        words.sort();
    }
    println!("{}", words.join("\n"));
}
