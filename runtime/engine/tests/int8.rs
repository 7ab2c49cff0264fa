//! Quantised graphs run on bytes, and give what the same graph gives in floats, to one quantisation step a layer.

mod common;

use common::{Net, Random, int, ints, ours, tracts};
use jidoka_engine::onnx::{ModelProto, decode};
use jidoka_engine::{Isa, Options, Session};

/// Ours is within one step of tract's (which computes in floats) everywhere, and exact but for `inexact` per cent. A bias that
/// is no whole number of the sums' units is rounded to one, which moves a few results over a rounding boundary.
fn check(label: &str, proto: &ModelProto, shape: &[usize], step: f32, inexact: usize) -> Session {
    let input = Random(11).floats(shape.iter().product(), 1.0);
    let want = tracts(proto, shape, &input);
    let (session, got) = ours(proto, &input, &Options { strict: true, ..Options::default() });
    for (got, want) in got.iter().zip(&want) {
        let apart = |(g, w): (&f32, &f32)| (g - w).abs();
        let most = got.iter().zip(want).map(apart).fold(0.0, f32::max);
        assert!(most <= step * 1.01, "{label}: {most} apart, a step is {step}");
        let apart = got.iter().zip(want).filter(|p| apart((p.0, p.1)) > step * 0.01).count();
        assert!(apart * 100 <= got.len() * inexact, "{label}: {apart} of {} differ", got.len());
    }
    session
}

fn kinds(session: &Session) -> Vec<String> {
    session.report().steps.into_iter().map(|s| s.kind).collect()
}

#[test]
fn convolutions_run_on_bytes() {
    for (ci, co, k, stride, pad, group) in [
        (3, 8, 3, 1, 1, 1),
        (4, 5, 1, 1, 0, 1),
        (7, 13, 3, 2, 1, 1),
        (16, 32, 5, 1, 2, 1),
        (6, 6, 3, 1, 1, 6),
        (8, 8, 5, 2, 2, 8),
    ] {
        for (signed, zero) in [(false, 117), (false, 0), (true, 3)] {
            let label = format!("{ci}->{co} {k}x{k} /{stride} p{pad} g{group} {signed} {zero}");
            let mut net = Net::new(21, &[1, ci, 11, 9]);
            let x = net.qdq("image", 0.0079, if signed { 0 } else { 127 }, signed);
            let y = net.conv_bytes(&x, ci, co, k, stride, pad, group);
            let y = net.qdq(&y, 0.012, zero, signed);
            net.output(&y);
            let kinds = kinds(&check(&label, &net.model(), &[1, ci, 11, 9], 0.012, 2));
            assert!(kinds.iter().any(|k| k.ends_with("int8")), "{label}: {kinds:?}");
            assert!(!kinds.iter().any(|k| k == "conv" || k == "depthwise"), "{label}: {kinds:?}");
        }
    }
}

fn network() -> Net {
    let mut net = Net::new(5, &[1, 3, 20, 18]);
    let x = net.qdq("image", 0.0079, 128, false);
    let x = net.conv_bytes(&x, 3, 12, 3, 2, 1, 1);
    let x = net.node("Relu", &[&x], vec![]);
    let x = net.qdq(&x, 0.011, 0, false);
    let y = net.conv_bytes(&x, 12, 12, 3, 1, 1, 12);
    let y = net.relu6(&y);
    let y = net.qdq(&y, 0.009, 0, false);
    let y = net.conv_bytes(&y, 12, 12, 1, 1, 0, 1);
    let y = net.qdq(&y, 0.013, 120, false);
    let sum = net.node("Add", &[&x, &y], vec![]);
    let sum = net.qdq(&sum, 0.018, 90, false);
    net.conv_bytes(&sum, 12, 7, 3, 1, 1, 1);
    let z = net.graph.node.last().unwrap().output[0].clone();
    let z = net.qdq(&z, 0.03, 128, false);
    let pool = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2]), int("count_include_pad", 1)];
    let z = net.node("AveragePool", &[&z], pool);
    let z = net.qdq(&z, 0.03, 128, false);
    net.output(&z);
    net
}

#[test]
fn a_network_stays_on_bytes() {
    let session = check("network", &network().model(), &[1, 3, 20, 18], 0.03, 10);
    let kinds = kinds(&session);
    for kind in ["conv int8", "depthwise int8", "add int8", "pool int8"] {
        assert!(kinds.iter().any(|k| k == kind), "{kind} is not in {kinds:?}");
    }
    for kind in ["conv", "depthwise", "chain", "pool"] {
        assert!(!kinds.iter().any(|k| k == kind), "{kind} is in {kinds:?}");
    }
}

#[test]
fn every_instruction_set_gives_the_same_bytes() {
    let proto = network().model();
    let input = Random(3).floats(3 * 20 * 18, 1.0);
    let run = |isa| ours(&proto, &input, &Options { isa: Some(isa), ..Options::default() }).1;
    let want = run(Isa::Portable);
    for isa in Isa::list_available() {
        assert_eq!(run(isa), want, "{isa}");
    }
    for threads in [2, 3] {
        assert_eq!(ours(&proto, &input, &Options { threads, ..Options::default() }).1, want, "{threads} threads");
    }
}

#[test]
fn float_weights_between_bytes_stay_floats() {
    let mut net = Net::new(6, &[1, 3, 8, 8]);
    let x = net.qdq("image", 0.0079, 128, false);
    let x = net.conv(&x, 3, 4, [3, 3], 1, [1; 4], 1);
    let x = net.qdq(&x, 0.02, 128, false);
    net.output(&x);
    let kinds = kinds(&check("float weights", &net.model(), &[1, 3, 8, 8], 0.02, 2));
    assert!(kinds.iter().any(|k| k == "conv"), "{kinds:?}");
}

#[test]
fn bytes_may_leave_the_graph() {
    let mut net = Net::new(6, &[1, 3, 8, 8]);
    let scale = net.constant(&[], &[0.01]);
    let zero = net.constant_bytes(&[], &[128], false);
    let bytes = net.node("QuantizeLinear", &["image", &scale, &zero], vec![]);
    net.output(&bytes);
    let model = jidoka_engine::Model::from_bytes("t", &jidoka_engine::onnx::encode(&net.model())).unwrap();
    let mut session = Session::new(&model, &Options { strict: true, ..Options::default() }).unwrap();
    assert_eq!(session.outputs()[0].dtype, jidoka_engine::DType::U8);
    let input = Random(7).floats(3 * 8 * 8, 2.0);
    session.input_f32().unwrap().copy_from_slice(&input);
    session.run().unwrap();
    let jidoka_engine::Data::U8(bytes) = session.output(0).data else { panic!("bytes") };
    let wanted = input.iter().map(|v| ((v / 0.01).round_ties_even() + 128.0).clamp(0.0, 255.0) as u8);
    assert!(wanted.eq(bytes.iter().copied()));
}

#[test]
fn the_zoos_int8_backbone_runs_on_bytes_after_its_first_layers() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/zoo/edge-s.int8.onnx");
    let Ok(bytes) = std::fs::read(&path) else {
        println!("skipped: there is no {}", path.display());
        return;
    };
    let proto = decode("edge-s.int8", &bytes).unwrap();
    let shape = [1, 3, 256, 256];
    let input: Vec<f32> = Random(2).floats(3 * 256 * 256, 0.5).iter().map(|v| v + 0.5).collect();
    let want = tracts(&proto, &shape, &input);
    let (session, got) = ours(&proto, &input, &Options { strict: true, ..Options::default() });
    let kinds = kinds(&session);
    // The stem and the first two blocks stay f32 by design (models/zoo/edge-s.md): five convolutions.
    let floats = kinds.iter().filter(|k| *k == "conv" || *k == "depthwise").count();
    assert_eq!(floats, 5, "{kinds:?}");
    // One step here and there becomes a few steps after thirty layers (as it does between onnxruntime's own levels of
    // optimisation); the signal stays far above.
    for (got, want) in got.iter().zip(&want) {
        let power = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v) * f64::from(v)).sum::<f64>();
        let noise = power(&mut got.iter().zip(want).map(|(g, w)| g - w));
        let signal = power(&mut want.iter().copied());
        assert!(noise * 100.0 <= signal, "{} dB", 10.0 * (signal / noise).log10());
    }
}
