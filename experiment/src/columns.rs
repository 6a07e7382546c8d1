//! Records as Parquet, for programs that read tables by columns: the same rows and columns as in `records.csv`. Axes are texts, figures
//! are floats, and what a run does not have is null. Nothing is compressed.

use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::Result;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;

use crate::folder::Contents;

/// Every run's figures, a row each.
pub(crate) fn records(contents: &Contents) -> Vec<u8> {
    write(contents).expect("a vector takes everything, and all columns are of one length")
}

fn write(contents: &Contents) -> Result<Vec<u8>> {
    let records = &contents.records;
    let axes = &contents.experiment.axes;
    let metrics = &contents.manifest.metrics;
    let mut fields = Vec::new();
    for axis in axes {
        fields.push(field(&axis.name, Physical::BYTE_ARRAY, Some(LogicalType::String), Repetition::REQUIRED)?);
    }
    fields.push(field("seed", Physical::INT64, Some(LogicalType::integer(64, false)), Repetition::REQUIRED)?);
    for metric in metrics {
        fields.push(field(&metric.name, Physical::DOUBLE, None, Repetition::OPTIONAL)?);
    }
    let schema = Arc::new(Type::group_type_builder("records").with_fields(fields).build()?);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Default::default())?;
    let mut group = writer.next_row_group()?;
    let mut fill = |fill: &dyn Fn(&mut SerializedColumnWriter<'_>) -> Result<usize>| -> Result<()> {
        let mut column = group.next_column()?.expect("the schema has a column for each that is filled");
        fill(&mut column)?;
        column.close()
    };
    for place in 0..axes.len() {
        let texts: Vec<ByteArray> = records.iter().map(|record| record.cell[place].as_str().into()).collect();
        fill(&|column| column.typed::<ByteArrayType>().write_batch(&texts, None, None))?;
    }
    let seeds: Vec<i64> = records.iter().map(|record| record.seed as i64).collect();
    fill(&|column| column.typed::<Int64Type>().write_batch(&seeds, None, None))?;
    for metric in metrics {
        let figures: Vec<Option<f64>> =
            records.iter().map(|record| record.figures.get(&metric.name).copied()).collect();
        // One level is for what is there, none for what is not.
        let levels: Vec<i16> = figures.iter().map(|figure| i16::from(figure.is_some())).collect();
        let there: Vec<f64> = figures.into_iter().flatten().collect();
        fill(&|column| column.typed::<DoubleType>().write_batch(&there, Some(&levels), None))?;
    }
    group.close()?;
    writer.into_inner()
}

fn field(name: &str, physical: Physical, logical: Option<LogicalType>, repetition: Repetition) -> Result<Arc<Type>> {
    let builder = Type::primitive_type_builder(name, physical).with_repetition(repetition).with_logical_type(logical);
    builder.build().map(Arc::new)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Write as _;

    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::Field;

    use super::*;
    use crate::folder::{Machine, Manifest};
    use crate::record::Record;
    use crate::summary::{Better, Metric, Place};
    use crate::{Experiment, table};

    fn contents() -> Contents {
        let text = "name = \"two\"\nsearch = { mode = \"chord\", queries = 5 }\n\
                    [[axes]]\nname = \"peers\"\nfields = [\"peers\"]\nvalues = [64, 128]\n";
        let metric =
            |name: &str| Metric { name: name.into(), unit: "s".into(), about: "made up".into(), better: Better::Less };
        let record = |peers: &str, seed: u64, figures: &[(&str, f64)]| Record {
            cell: vec![peers.to_owned()],
            seed,
            figures: figures.iter().map(|(name, figure)| ((*name).to_owned(), *figure)).collect(),
            sent: BTreeMap::new(),
            payments: Vec::new(),
        };
        let manifest = Manifest {
            version: "0".into(),
            commit: "none".into(),
            command: Vec::new(),
            place: Place::Simulated,
            metrics: vec![metric("hops_mean"), metric("time_mean")],
            machine: Machine::this(),
            begun: "2026-01-31T12:00:00Z".into(),
            ended: None,
        };
        let records = vec![
            record("64", 1, &[("hops_mean", 3.25), ("time_mean", 0.1)]),
            record("128", u64::MAX, &[("time_mean", 0.2)]),
        ];
        let experiment = Experiment::parse(text).expect("a good experiment");
        Contents { experiment, manifest, records, costs: Vec::new(), failures: Vec::new() }
    }

    #[test]
    fn what_is_written_can_be_read_and_is_what_the_table_says() {
        let contents = contents();
        let bytes = records(&contents);
        assert_eq!(bytes, records(&contents), "the same records are the same bytes");
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&bytes).expect("room on the disk");
        let reader = SerializedFileReader::new(file).expect("a Parquet file");
        let rows: Vec<Vec<(String, Field)>> = reader
            .get_row_iter(None)
            .expect("rows")
            .map(|row| {
                row.expect("a row").get_column_iter().map(|(name, field)| (name.clone(), field.clone())).collect()
            })
            .collect();
        let of = |place: usize| rows[place].iter().map(|(_, field)| field.clone()).collect::<Vec<_>>();
        assert_eq!(of(0), [Field::Str("64".into()), Field::ULong(1), Field::Double(3.25), Field::Double(0.1)]);
        assert_eq!(of(1), [Field::Str("128".into()), Field::ULong(u64::MAX), Field::Null, Field::Double(0.2)]);
        assert_eq!(rows.len(), 2);
        let names: Vec<&str> = rows[0].iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(table::records(&contents).lines().next(), Some(names.join(",").as_str()));
    }
}
