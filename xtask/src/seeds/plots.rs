//! The pictures of the page, as SVG: the same figures give the same bytes.

use super::spread::Spread;
use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::Value;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const INK: RGBColor = RGBColor(40, 40, 40);
const SERIES: [RGBColor; 4] = [
    RGBColor(31, 90, 160),
    RGBColor(200, 90, 20),
    RGBColor(40, 130, 70),
    RGBColor(120, 60, 140),
];
const FILLS: [RGBColor; 4] = [
    RGBColor(238, 226, 200),
    RGBColor(70, 110, 160),
    RGBColor(130, 170, 120),
    RGBColor(180, 120, 150),
];

fn draw(size: (u32, u32), paint: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        paint(&area)?;
        area.present()?;
    }
    Ok(svg)
}

/// One curve of [`accuracy_by_width`].
pub(crate) struct Curve<'a> {
    pub(crate) name: &'a str,
    /// As measured: rows of runs.
    pub(crate) result: &'a Value,
}

/// Mean accuracy against the width of lookups, with a bar from the least to the largest of the seeds.
pub(crate) fn accuracy_by_width(curves: &[Curve<'_>]) -> Result<String> {
    let points = |curve: &Curve<'_>| -> Vec<(f64, Spread)> {
        let rows = curve.result["rows"].as_array().into_iter().flatten();
        rows.filter_map(|row| Some((row["limit"].as_f64()?, Spread::over_runs(row, "/graph/accuracy")?)))
            .collect()
    };
    let curves: Vec<(&str, Vec<(f64, Spread)>)> = curves.iter().map(|c| (c.name, points(c))).collect();
    let all = || curves.iter().flat_map(|(_, points)| points);
    let least = all().map(|(_, s)| s.least).fold(1.0, f64::min);
    let (first, last) = all().fold((8.0, 3.0), |(a, b): (f64, f64), (x, _)| (a.min(*x), b.max(*x)));
    let floor = (20.0 * least - 0.2).floor().max(0.0) * 5.0;
    draw((640, 400), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(16)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(first - 0.4..last + 0.4, floor..100.0)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(WHITE)
            .x_labels(8)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y:.0}%"))
            .x_desc("limit for every lookup, in bits")
            .y_desc("test accuracy, integer graph")
            .draw()?;
        for (i, (name, points)) in curves.iter().enumerate() {
            let colour = SERIES[i % SERIES.len()];
            // Side by side, so that bars of one width do not hide each other.
            let at = |x: f64| x + 0.06 * (i as f64 - 0.5 * (curves.len() - 1) as f64);
            let line = points.iter().map(|(x, s)| (at(*x), 100.0 * s.mean));
            chart
                .draw_series(LineSeries::new(line.clone(), colour.stroke_width(2)))?
                .label(*name)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2)));
            chart.draw_series(line.map(|point| Circle::new(point, 4, colour.filled())))?;
            chart.draw_series(points.iter().map(|(x, s)| {
                let ends = vec![(at(*x), 100.0 * s.least), (at(*x), 100.0 * s.largest)];
                PathElement::new(ends, colour.stroke_width(1))
            }))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .border_style(INK)
            .background_style(WHITE)
            .draw()?;
        Ok(())
    })
}

/// Proved and observed range of each layer; `layers` as `cml analyze --json` has them.
pub(crate) fn ranges(layers: &Value) -> Result<String> {
    let range = |of: &Value| Some((of["range"]["lo"].as_f64()?, of["range"]["hi"].as_f64()?));
    let row = |layer: &Value| {
        let name = layer["proved"]["layer"].as_str()?.to_owned();
        let bits = layer["proved"]["bits"].as_u64()?;
        Some((name, bits, range(&layer["proved"])?, range(&layer["observed"])))
    };
    let rows: Vec<_> = layers.as_array().into_iter().flatten().filter_map(row).collect();
    let lo = rows.iter().map(|r| r.2.0).fold(0.0, f64::min);
    let hi = rows.iter().map(|r| r.2.1).fold(1.0, f64::max);
    let (height, label) = (34, 170);
    let size = (640, 80 + height * rows.len() as u32);
    let pad = 0.02 * (hi - lo);
    draw(size, |area| {
        let names = ("sans-serif", 13).into_font().color(&INK);
        for (i, (name, bits, ..)) in rows.iter().enumerate() {
            let y = 40 + (height as usize * i) as i32 + 10;
            area.draw(&Text::new(format!("{name}, {bits} bits"), (10, y), names.clone()))?;
        }
        let legend = [(FILLS[0], "proved"), (FILLS[1], "observed on the test split")];
        for (i, (colour, text)) in legend.into_iter().enumerate() {
            let x = label + 110 * i as i32;
            area.draw(&Rectangle::new([(x, 12), (x + 14, 24)], colour.filled()))?;
            area.draw(&Text::new(text, (x + 20, 12), names.clone()))?;
        }
        let mut chart = ChartBuilder::on(area)
            .margin_top(40)
            .margin_right(20)
            .margin_left(label)
            .x_label_area_size(40)
            .build_cartesian_2d(lo - pad..hi + pad, rows.len() as f64..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .light_line_style(WHITE)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .x_desc("integer value")
            .draw()?;
        for (i, (_, _, proved, observed)) in rows.iter().enumerate() {
            let bar = |(lo, hi): (f64, f64), inset: f64, colour: RGBColor| {
                let corners = [(lo, i as f64 + inset), (hi, i as f64 + 1.0 - inset)];
                Rectangle::new(corners, colour.filled())
            };
            let bars = std::iter::once(bar(*proved, 0.15, FILLS[0]));
            chart.draw_series(bars.chain(observed.map(|range| bar(range, 0.3, FILLS[1]))))?;
        }
        Ok(())
    })
}

/// A picture of [`boundaries`]: its title, and classes row by row from the bottom.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) classes: Vec<u64>,
}

/// Classes over the unit square, panels side by side.
pub(crate) fn boundaries(side: usize, panels: &[Panel]) -> Result<String> {
    let (square, gap, top) = (300i32, 20i32, 34i32);
    let width = gap + (square + gap) * panels.len() as i32;
    draw((width as u32, (top + square + gap) as u32), |area| {
        let font = ("sans-serif", 15).into_font().color(&INK);
        for (i, panel) in panels.iter().enumerate() {
            let left = gap + (square + gap) * i as i32;
            area.draw(&Text::new(panel.title.clone(), (left, 10), font.clone()))?;
            let x = |column: usize| left + square * column as i32 / side as i32;
            let y = |row: usize| top + square - square * row as i32 / side as i32;
            for (row, classes) in panel.classes.chunks(side).enumerate() {
                let mut from = 0;
                for run in classes.chunk_by(|a, b| a == b) {
                    let to = from + run.len();
                    let colour = FILLS[run[0] as usize % FILLS.len()];
                    let corners = [(x(from), y(row + 1)), (x(to), y(row))];
                    area.draw(&Rectangle::new(corners, colour.filled()))?;
                    from = to;
                }
            }
            let frame = [(left, top), (left + square, top + square)];
            area.draw(&Rectangle::new(frame, INK.stroke_width(1)))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The picture, drawn twice.
    fn twice(draw: impl Fn() -> Result<String>) -> String {
        let (first, second) = (draw().unwrap(), draw().unwrap());
        assert!(first == second, "two pictures of the same figures");
        assert!(first.starts_with("<svg") && first.trim_end().ends_with("</svg>"));
        first
    }

    #[test]
    fn curves_leave_out_what_was_not_trained() {
        let run = |accuracy: f64| json!({"graph": {"accuracy": accuracy}});
        let result = json!({"rows": [
            {"limit": 8, "runs": [run(0.95), run(0.96)]},
            {"limit": 5, "runs": [run(0.91), run(0.93)]},
            {"limit": 3, "runs": [], "errors": ["no"]},
        ]});
        let svg = twice(|| {
            accuracy_by_width(&[Curve {
                name: "checkerboard",
                result: &result,
            }])
        });
        assert!(svg.contains("checkerboard") && svg.contains("90%"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2, "{svg}");
        twice(|| accuracy_by_width(&[]));
    }

    #[test]
    fn a_bar_for_each_range() {
        let layer = |name: &str, lo: i64, hi: i64| {
            let range = |lo, hi| json!({"layer": name, "bits": 6, "range": {"lo": lo, "hi": hi}});
            json!({"proved": range(lo, hi), "observed": range(lo / 2, hi / 2)})
        };
        let layers = json!([layer("fc1", -18, 18), layer("fc2", -30, 64)]);
        let svg = twice(|| ranges(&layers));
        assert!(
            svg.contains("fc1, 6 bits") && svg.contains("fc2, 6 bits"),
            "{svg}"
        );
        // Two of the legend, four bars, the background.
        assert_eq!(svg.matches("<rect").count(), 7, "{svg}");
    }

    #[test]
    fn neighbours_of_one_class_are_one_rectangle() {
        let panel = |title: &str, classes: &[u64]| Panel {
            title: title.to_owned(),
            classes: classes.to_vec(),
        };
        let svg = twice(|| {
            boundaries(
                2,
                &[panel("float", &[0, 0, 0, 1]), panel("integer", &[0, 1, 1, 0])],
            )
        });
        // Background, two frames, 1 + 2 and 2 + 2 runs.
        assert_eq!(svg.matches("<rect").count(), 10, "{svg}");
        assert!(svg.contains("integer"));
    }
}
