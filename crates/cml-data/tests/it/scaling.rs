use cml_data::{Dataset, Error, Scaling, named};
use ndarray::{Array2, array};

fn data(features: Array2<f32>) -> Dataset {
    let names = (0..features.ncols()).map(|column| format!("c{column}")).collect();
    let labels = vec![0; features.nrows()];
    Dataset::new(features, labels, names, 1).unwrap()
}

#[test]
fn min_max_maps_to_the_unit_interval() {
    let data = data(array![[1.0, 5.0], [3.0, 5.0], [2.0, 5.0]]);
    let scaling = Scaling::fit_min_max(&data);
    assert_eq!(
        (scaling.offset(), scaling.factor()),
        (&[1.0, 5.0][..], &[0.5, 1.0][..])
    );
    assert_eq!(
        scaling.apply(&data).unwrap().features(),
        array![[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]]
    );
}

#[test]
fn standard_maps_to_mean_0_and_deviation_1() {
    let data = data(array![[1.0, 0.1], [3.0, 0.1], [1.0, 0.1], [3.0, 0.1]]);
    let scaling = Scaling::fit_standard(&data);
    assert_eq!(
        (scaling.offset(), scaling.factor()),
        (&[2.0, 0.1][..], &[1.0, 1.0][..])
    );

    let iris = named("iris", 0).unwrap().train;
    let scaled = Scaling::fit_standard(&iris).apply(&iris).unwrap();
    assert_eq!(scaled.labels(), iris.labels());
    for column in scaled.features().columns() {
        let rows = column.len() as f32;
        assert!((column.sum() / rows).abs() < 1e-5);
        assert!((column.mapv(|value| value * value).sum() / rows - 1.0).abs() < 1e-4);
    }
}

/// Three pixels of Digits are 0 in every training row.
#[test]
fn constant_columns_stay_finite() {
    let digits = named("digits", 0).unwrap();
    for scaling in [
        Scaling::fit_min_max(&digits.train),
        Scaling::fit_standard(&digits.train),
    ] {
        assert_eq!((scaling.offset()[0], scaling.factor()[0]), (0.0, 1.0));
        assert!(scaling.apply(&digits.test).is_ok());
    }
}

#[test]
fn extreme_columns_do_not_overflow() {
    for features in [
        array![[f32::MAX], [f32::MIN]],
        array![[0.0], [1e-45]],
        array![[f32::MAX], [f32::MAX]],
    ] {
        let data = data(features);
        for scaling in [Scaling::fit_min_max(&data), Scaling::fit_standard(&data)] {
            assert!(Scaling::new(scaling.offset().to_vec(), scaling.factor().to_vec()).is_ok());
            assert!(scaling.apply(&data).is_ok());
        }
    }
}

#[test]
fn refuses_what_does_not_fit() {
    let data = data(array![[1.0, 2.0]]);
    assert!(matches!(
        Scaling::new(vec![0.0], vec![]),
        Err(Error::ScalingLength { .. })
    ));
    assert!(matches!(
        Scaling::new(vec![f32::NAN], vec![1.0]),
        Err(Error::ScalingNotFinite { column: 0, .. })
    ));
    let narrow = Scaling::new(vec![0.0], vec![1.0]).unwrap();
    assert_eq!(
        narrow.apply(&data).unwrap_err().to_string(),
        "scaling: fitted for 1 columns, found 2"
    );
    let steep = Scaling::new(vec![0.0, 0.0], vec![f32::MAX, f32::MAX]).unwrap();
    assert!(matches!(steep.apply(&data), Err(Error::NotFinite { row: 0, .. })));
}
