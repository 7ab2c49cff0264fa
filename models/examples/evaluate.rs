//! Teaches on `train/good` and evaluates on `test`, one JSON object a category and method.
//!
//! ```sh
//! cargo run --release -p jidoka-models --example evaluate -- DATASET [METHOD ...] [key=value ...]
//! ```
//!
//! Keys: `bank`, `size`, `seed`, `images` (teach from the first so many), `backbone`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use jidoka_models::teach::{Folder, Options, teach};
use jidoka_models::{Error, InspectionModel, LoadOptions, Method, eval};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let dataset = args.first().map_or(".", String::as_str);
    let mut options = Options::default();
    let mut methods = Vec::new();
    let mut images = usize::MAX;
    let mut auto = false;
    for arg in args.iter().skip(1) {
        let number = |value: &str| value.parse::<u32>().unwrap_or_else(|_| panic!("{arg}: expected a number"));
        match arg.split_once('=') {
            Some(("bank", v)) => options.bank = number(v) as usize,
            Some(("size", v)) => options.size = Some((number(v), number(v))),
            Some(("seed", v)) => options.seed = u64::from(number(v)),
            Some(("images", v)) => images = number(v) as usize,
            Some(("backbone", v)) => options.backbone = Some(v.into()),
            _ if arg == "auto" => auto = true,
            _ => methods.push(method(arg)),
        }
    }
    if auto {
        options.auto = true;
        methods = vec![Method::PatchcoreLite];
    } else if methods.is_empty() {
        methods.push(Method::PatchcoreLite);
    }
    for category in eval::find(Path::new(dataset))? {
        for &method in &methods {
            let options = Options { method, ..options.clone() };
            one(&category, &options, images)?;
        }
    }
    Ok(())
}

fn method(name: &str) -> Method {
    let found = Method::TAUGHT.into_iter().find(|m| m.name() == name);
    found.unwrap_or_else(|| panic!("{name}: expected patchcore-lite, padim, mahalanobis, auto or key=value"))
}

fn one(category: &eval::Category, options: &Options, images: usize) -> Result<(), Error> {
    let train: Vec<_> = category.train.iter().take(images).cloned().collect();
    let began = Instant::now();
    let taught = teach(&mut Folder::of(train), options, &mut |_| {})?;
    let seconds = began.elapsed().as_secs_f64();
    let mut model = InspectionModel::from_bytes("taught", &taught.onnx, &LoadOptions::default())?;
    let (figures, _) = eval::evaluate(category, &mut model, None, &mut |_, _| {})?;
    let mut object = serde_json::to_value(&figures).expect("figures serialise");
    object["method"] = taught.report.method.name().into();
    object["candidates"] = serde_json::to_value(&taught.report.candidates).expect("candidates serialise");
    object["bank"] = taught.report.bank.into();
    object["teach_seconds"] = seconds.into();
    object["threshold"] = taught.report.threshold.score.into();
    println!("{object}");
    Ok(())
}
