//! The report of one comparison.

use super::page::{Ink, Page, Style};
use super::{layers, throughput};
use crate::compare::{Comparison, Evidence, ModelFacts, NotTested, Side, WeightsVerdict, Why};
use crate::report::quantity::{bytes, count, percent, three_digits};
use crate::report::words;
use crate::wording::counted;

/// Renamings, differences, evidence and names shown unless `-v` asks for all.
const SHORT_LIST: usize = 4;

/// The whole report of a comparison, with its final newline.
#[must_use]
pub fn comparison(comparison: &Comparison, style: Style) -> String {
    let mut page = Page::new(style);
    model(&mut page, "left", &comparison.left);
    model(&mut page, "right", &comparison.right);
    page.blank();
    architecture(&mut page, comparison);
    page.blank();
    weights(&mut page, comparison);
    not_tested(&mut page, &comparison.not_tested);
    layers::picture(&mut page, &comparison.layers);
    page.blank();
    throughput::block(&mut page, comparison);
    tool(&mut page, comparison);
    page.finish()
}

/// The two verdict words alone, as `-q` prints them: `same-renamed no-evidence`.
#[must_use]
pub fn verdict_words(comparison: &Comparison) -> String {
    let weights = comparison.weights.verdict.map_or("selective", words::weights_word);
    format!("{} {weights}\n", words::architecture_word(comparison.architecture.verdict))
}

fn model(page: &mut Page, side: &str, model: &ModelFacts) {
    let dot = page.symbol(" · ", ", ");
    let mut facts = vec![page.name(&model.family), format!("{} parameters", count(model.n_parameters))];
    if let Some(n_layers) = model.n_layers {
        facts.push(counted(n_layers, "layer", "layers"));
    }
    let dtypes: Vec<String> = model.dtypes.iter().take(3).map(|(name, _)| page.name(name)).collect();
    if !dtypes.is_empty() {
        facts.push(dtypes.join(" + "));
    }
    let format = page.name(&model.format);
    facts.push(format!(
        "{} in {}",
        bytes(model.size_bytes),
        counted(model.files.len(), &format!("{format} file"), &format!("{format} files"))
    ));
    if let Some(commit) = &model.commit {
        facts.push(format!("commit {}", page.name(commit)));
    }
    let reference = page.ink(Ink::Bold, &page.name(&model.reference));
    page.line(&format!("{side:<14}{reference}"));
    page.row("", &facts.join(dot));
    for (rule, says) in model.notes.iter().take(page.shown(model.notes.len())) {
        let note = format!("note {}: {}", page.name(rule), page.sentence(says));
        page.row("", &note);
    }
}

fn architecture(page: &mut Page, comparison: &Comparison) {
    let architecture = &comparison.architecture;
    let word = words::architecture_word(architecture.verdict);
    page.heading("ARCHITECTURE", word, Ink::Bold, words::architecture_sentence(architecture.verdict));
    let arrow = page.symbol("→", "->");
    let renamed: Vec<String> = architecture
        .renamed
        .iter()
        .map(|renaming| {
            format!(
                "{} {arrow} {}, {}",
                page.name(&renaming.from),
                page.name(&renaming.to),
                tensors(renaming.count)
            )
        })
        .collect();
    page.list("renamed", &renamed);
    let differences: Vec<String> = architecture.differences.iter().map(|text| page.sentence(text)).collect();
    page.list("differs", &differences);
    if let Some((shared, larger)) = comparison.shared_tokens {
        page.row(
            "tokens",
            &format!("{shared} of {} in common", counted(larger, "token string", "token strings")),
        );
    }
}

fn weights(page: &mut Page, comparison: &Comparison) {
    let weights = &comparison.weights;
    match weights.verdict {
        Some(verdict) => {
            page.heading(
                "WEIGHTS",
                words::weights_word(verdict),
                ink(verdict),
                words::weights_sentence(verdict),
            );
        }
        None => {
            page.heading("WEIGHTS", "no verdict", Ink::Warn, "only chosen statistics were computed (--only)")
        }
    }
    if let Some(likelihood) = weights.likelihood {
        let text = format!("{likelihood:.4} that they share weights, at prior {}", weights.prior);
        page.rows("likelihood", &[text, words::support_sentence(&weights.support)]);
    }
    if let Some(log10_p) = weights.log10_p {
        let floor = weights
            .log10_p_floor
            .map_or(String::new(), |floor| format!("; the tests could reach {floor:.2}"));
        let z = weights.z.map_or(String::new(), |z| format!("; z {z:.2}"));
        let in_place = format!("{log10_p:.2}{floor}{z}");
        let by_answers = weights
            .log10_p_by_answers
            .map(|log10_p| format!("{log10_p:.2} by answers to the shared tokens, in any residual basis"));
        page.rows("log10 p", &[Some(in_place), by_answers].into_iter().flatten().collect::<Vec<_>>());
    }
    if !weights.decided_by.is_empty() {
        let names: Vec<String> = weights.decided_by.iter().map(|name| page.name(name)).collect();
        page.row("decided by", &names.join(", "));
    }
    let relations: Vec<String> = weights
        .relations
        .iter()
        .map(|relation| match relation.detail.as_str() {
            "" => page.name(&relation.kind),
            detail => format!("{}: {}", page.name(&relation.kind), page.sentence(detail)),
        })
        .collect();
    page.rows("relations", &relations);
    if let Some(direction) = weights.direction {
        page.row("direction", words::direction_word(direction));
    }
    let reasons: Vec<String> = weights.reasons.iter().map(|text| page.sentence(text)).collect();
    page.list("reasons", &reasons);
    shares(page, comparison);
    evidence(page, "for", weights.evidence.iter().filter(|evidence| evidence.is_for));
    evidence(page, "against", weights.evidence.iter().filter(|evidence| !evidence.is_for));
    if let Some(power) = &weights.power {
        let seen =
            power.smallest_share.map_or("no share of the weights would surely be seen".to_owned(), |share| {
                format!("a shared part of {} would be seen in 9 of 10 cases", percent(share))
            });
        page.row("power", &format!("{seen}, at level {:.0e}, {}", power.alpha, page.sentence(&power.at)));
    }
    page.row("tested", words::QUESTION);
}

fn ink(verdict: WeightsVerdict) -> Ink {
    match verdict {
        WeightsVerdict::NoEvidence => Ink::Bold,
        WeightsVerdict::Inconclusive => Ink::Warn,
        _ => Ink::Error,
    }
}

/// Inherited and coverage, a column per component.
fn shares(page: &mut Page, comparison: &Comparison) {
    let weights = &comparison.weights;
    let mut components: Vec<&str> = Vec::new();
    for (component, _) in weights.coverage_by_component.iter().chain(&weights.inherited_by_component) {
        if !components.contains(&component.as_str()) {
            components.push(component);
        }
    }
    let cells = |shares: &[(String, f64)]| -> String {
        let cell = |component: &&str| {
            let share = shares.iter().find(|(name, _)| name == component).map(|(_, share)| percent(*share));
            format!("{:>12}", share.unwrap_or_else(|| "-".to_owned()))
        };
        components.iter().take(5).map(cell).collect()
    };
    let heads: String =
        components.iter().take(5).map(|component| format!("{:>12}", page.name(component))).collect();
    page.line(&format!("  {:<12}{:>8}{heads}", "inherited", "all"));
    if comparison.tool.selective.is_none() {
        let by_component = cells(&weights.inherited_by_component);
        page.line(&format!("    {:<10}{:>8}{by_component}", "of right", percent(weights.right_share)));
        page.line(&format!("    {:<10}{:>8}", "of left", percent(weights.left_share)));
    }
    let covered = format!("{:>8}{}", percent(weights.coverage_total), cells(&weights.coverage_by_component));
    page.line(&format!("  {:<12}{covered}", "compared"));
}

fn evidence<'a>(page: &mut Page, label: &str, all: impl Iterator<Item = &'a Evidence>) {
    let texts: Vec<String> = all
        .map(|evidence| {
            let layer = evidence.layer.map_or(String::new(), |layer| format!(" layer {layer}"));
            format!(
                "{}, {}{layer}: {} ({}; independent: {})",
                page.name(&evidence.statistic),
                page.name(&evidence.component),
                page.sentence(&evidence.says),
                three_digits(evidence.value),
                three_digits(evidence.null)
            )
        })
        .collect();
    let n_shown = if page.style.verbose { texts.len() } else { texts.len().min(2) };
    page.rows(label, &texts[..n_shown]);
    if texts.is_empty() {
        page.row(label, "nothing found");
    }
}

fn not_tested(page: &mut Page, all: &[NotTested]) {
    if all.is_empty() {
        return;
    }
    page.blank();
    page.heading("NOT COMPARED", "", Ink::Bold, "by reason; the JSON report names every tensor");
    for why in words::WHYS {
        for side in [Side::Left, Side::Right] {
            group(page, all, why, side);
        }
    }
}

/// Tensors of one model left out for one reason.
fn group(page: &mut Page, all: &[NotTested], why: Why, side: Side) {
    let tensors: Vec<&NotTested> =
        all.iter().filter(|tensor| tensor.why == why && tensor.model == side).collect();
    let Some(first) = tensors.first() else { return };
    let n_shown = page.shown(tensors.len()).min(if page.style.verbose { usize::MAX } else { 3 });
    let mut names: Vec<String> =
        tensors.iter().take(n_shown).map(|tensor| page.name(&tensor.tensor)).collect();
    if n_shown < tensors.len() {
        names.push(format!("and {} more", tensors.len() - n_shown));
    }
    let n = u64::try_from(tensors.len()).unwrap_or(u64::MAX);
    let reason = page.sentence(&first.reason);
    let text = format!(
        "{} {}, {}: {} ({reason})",
        self::tensors(n),
        words::side_word(side),
        words::why_word(why),
        names.join(", ")
    );
    page.row("", &text);
}

fn tensors(n: u64) -> String {
    counted(n, "tensor", "tensors")
}

fn tool(page: &mut Page, comparison: &Comparison) {
    let tool = &comparison.tool;
    let mut text = format!(
        "cognate {}, method {}, likelihood map {}, seed {}, effort {}",
        page.name(&tool.version),
        page.name(&tool.method_version),
        page.name(&tool.map_version),
        tool.seed,
        page.name(&tool.effort)
    );
    if let Some(only) = &tool.selective {
        let names: Vec<String> = only.iter().map(|name| page.name(name)).collect();
        text.push_str(&format!("; SELECTIVE: only {}", names.join(", ")));
    }
    page.row("made by", &text);
}

impl Page {
    /// How many of `n` items to list.
    fn shown(&self, n: usize) -> usize {
        if self.style.verbose { n } else { n.min(SHORT_LIST) }
    }

    /// Rows under one label, cut with a count of the rest.
    fn list(&mut self, label: &str, texts: &[String]) {
        let n_shown = self.shown(texts.len());
        self.rows(label, &texts[..n_shown]);
        if n_shown < texts.len() {
            self.row("", &format!("and {} more (-v lists all)", texts.len() - n_shown));
        }
    }
}
