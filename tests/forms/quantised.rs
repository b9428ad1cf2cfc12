//! Each form against the values that its own tool decodes (scripts/reference_values_quantised.py says which).

use crate::{open, reference, values};

/// Every folder of reference values; a form without one is a form that nobody checked.
const FORMS: [&str; 21] = [
    "awq",
    "bnb8",
    "ct-int8",
    "ct3",
    "ct4",
    "ct4-zero",
    "ct8",
    "fp4",
    "fp8-block",
    "fp8-row",
    "fp8-tensor",
    "gptq2",
    "gptq3",
    "gptq4",
    "gptq4-act",
    "gptq4-v2",
    "gptq8",
    "mxfp4",
    "nf4",
    "nf4-nested",
    "nvfp4",
];

#[test]
fn each_form_decodes_to_the_values_of_its_own_tool() {
    for form in FORMS {
        let folder = reference("quantised").join(form);
        let model = open(&folder);
        let expected = values(&open(&folder.join("expected.safetensors")), 0);
        assert_eq!(model.tensors.len(), 1, "{form}: {:?}", model.notes);
        assert_eq!(model.tensors[0].name, "model.layers.0.mlp.up_proj.weight", "{form}");
        let found = values(&model, 0);
        assert_eq!(found.len(), expected.len(), "{form}");
        // One product of f32 each, so bit-equal; where a scale is itself a product or a quotient, the tools order the two
        // roundings otherwise: 2 · 2⁻²⁴ relative.
        let is_twice_rounded = matches!(form, "bnb8" | "nvfp4");
        let bound = |value: f32| if is_twice_rounded { value.abs() * 2.0_f32.powi(-23) } else { 0.0 };
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!(
                (found - expected).abs() <= bound(*expected),
                "{form}, element {at}: {found} and {expected}"
            );
        }
    }
}

#[test]
fn any_range_of_bytes_is_that_part_of_the_whole() {
    for form in FORMS {
        let model = open(&reference("quantised").join(form));
        let source = model.elements_of(&model.tensors[0]).0;
        let size = usize::try_from(source.size_bytes()).expect("small");
        let mut whole = vec![0; size];
        source.read_at(0, &mut whole).expect("a read");
        for start in (0..size).step_by(509) {
            for n in [0, 1, 3, 4, 60, 380, 389, 4001].into_iter().filter(|n| start + n <= size) {
                let mut part = vec![0; n];
                source.read_at(start as u64, &mut part).expect("a read");
                assert!(part == whole[start..start + n], "{form}: {n} bytes from {start}");
            }
        }
        assert!(source.read_at(size as u64 - 3, &mut [0; 4]).is_err(), "{form}");
        // forms that are read in bands keep them, and what is kept costs nothing: ask a model that read nothing yet
        let unread = open(&reference("quantised").join(form));
        let cost = unread.elements_of(&unread.tensors[0]).0.cost_bytes(0, size as u64);
        assert!(cost > 0 && cost < size as u64, "{form}: {cost}");
    }
}

#[test]
fn a_value_lies_inside_the_cell_of_its_level() {
    for form in FORMS {
        let model = open(&reference("quantised").join(form));
        let cells =
            model.tensors[0].encoding.as_ref().and_then(|encoding| encoding.cells.clone()).expect(form);
        let found = values(&model, 0);
        let bounds = cells.map(|bound| {
            let mut bytes = vec![0; found.len() * 4];
            bound.read_at(0, &mut bytes).expect("a read");
            let floats = bytes.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().expect("four")));
            floats.collect::<Vec<f32>>()
        });
        let mut n_open = 0;
        for (at, value) in found.iter().enumerate() {
            let (low, high) = (bounds[0][at].min(bounds[1][at]), bounds[0][at].max(bounds[1][at]));
            assert!(low <= *value && *value <= high && low < high, "{form}, element {at}");
            n_open += usize::from(low.is_infinite() || high.is_infinite());
        }
        // only the outermost levels have no end: of two bits half of all, of more a small part
        assert!(n_open * if form == "gptq2" { 1 } else { 2 } < found.len(), "{form}: {n_open} open cells");
    }
}
