//! Actors as a tree: each below its parent, with what stands below it added up.

use serde_json::Value;

use super::table::{As, text};
use crate::cli::terminal::Colours;

/// The tree of a root and what is below it, each with its path.
pub(super) fn tree(root: &Value, below: &[Value], colours: Colours) -> String {
    let mut lines = vec![(String::new(), root)];
    let base = path(root);
    let top: Vec<&Value> = below.iter().filter(|actor| parent(path(actor)) == base).collect();
    grow(&top, below, "", &mut lines);
    let width =
        lines.iter().map(|(drawn, actor)| (drawn.clone() + name(actor, root)).chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for (drawn, actor) in &lines {
        let label = format!("{drawn}{}", name(actor, root));
        let sum = |own: &str, below: &str| number(actor, own) + number(actor, below);
        let children = actor["children"].as_u64().unwrap_or(0);
        let state = text(&actor["state"], As::State);
        let blank = 10_usize.saturating_sub(state.chars().count());
        let mut line = format!(
            "{label:<width$}  {}{:blank$} {:>8} waiting  {:>8}/s",
            colours.state(&state),
            "",
            sum("/depth", "/below/depth") as u64,
            format!("{:.1}", sum("/rate", "/below/rate")),
        );
        if children > 0 {
            line.push_str(&format!("  {children} below"));
        }
        if let Some(restarts) = actor["restarts"].as_u64().filter(|restarts| *restarts > 0) {
            line.push_str(&format!("  {restarts} restarts"));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn grow<'a>(level: &[&'a Value], all: &'a [Value], indent: &str, lines: &mut Vec<(String, &'a Value)>) {
    for (index, actor) in level.iter().enumerate() {
        let last = index + 1 == level.len();
        lines.push((format!("{indent}{}", if last { "└─ " } else { "├─ " }), actor));
        let children: Vec<&Value> = all.iter().filter(|other| parent(path(other)) == path(actor)).collect();
        grow(&children, all, &format!("{indent}{}", if last { "   " } else { "│  " }), lines);
    }
}

fn path(actor: &Value) -> &str {
    actor["path"].as_str().unwrap_or_default()
}

/// What the tree is asked below: a user's id may hold slashes, so at most two of a path's count.
fn parent(path: &str) -> &str {
    match path.match_indices('/').nth(1).or_else(|| path.match_indices('/').next()) {
        Some((at, _)) => &path[..at],
        None => "node",
    }
}

/// Its own part of the path; of the root all of it. Control characters are none of a terminal's.
fn name<'a>(actor: &'a Value, root: &Value) -> &'a str {
    let whole = path(actor);
    if whole == path(root) || whole == "node" {
        return whole;
    }
    whole.strip_prefix(parent(whole)).map_or(whole, |rest| rest.trim_start_matches('/'))
}

fn number(actor: &Value, at: &str) -> f64 {
    actor.pointer(at).and_then(Value::as_f64).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_actor_stands_below_its_own_with_sums() {
        let actor = |path: &str, children: u64, rate: f64| {
            json!({ "path": path, "state": "running", "depth": 0, "rate": 0.5, "restarts": 0, "children": children,
                "below": { "depth": 2, "rate": rate } })
        };
        let root = actor("node", 2, 10.0);
        let below = [
            actor("hub", 0, 0.0),
            actor("partitions", 256, 3.0),
            actor("partitions/0", 1, 0.0),
            actor("partitions/0/user:a/b", 0, 0.0),
        ];
        let shown = tree(&root, &below, Colours::NONE);
        let names: Vec<_> = shown.lines().map(|line| line.split("  running").next().unwrap().trim_end()).collect();
        assert_eq!(names, ["node", "├─ hub", "└─ partitions", "   └─ 0", "      └─ user:a/b"]);
        assert!(shown.lines().nth(2).unwrap().ends_with("2 waiting       3.5/s  256 below"), "{shown}");
        let part = tree(&below[2], &below[3..], Colours::NONE);
        assert!(part.starts_with("partitions/0 ") && part.contains("└─ user:a/b"), "{part}");
    }
}
