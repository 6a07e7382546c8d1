//! Everything that is made of an experiment's records.

use crate::folder::{Folder, SUMMARY, json};
use crate::grid::Cell;
use crate::notebook::notebook;
use crate::page::page;
use crate::pictures::pictures;
use crate::{ExperimentError, Summary, summarise, table};

/// Makes tables, the summary and pictures of what is kept in a folder. It can be done again at any time.
pub fn finish(folder: &Folder, cells: &[Cell]) -> Result<Summary, ExperimentError> {
    let contents = folder.contents(cells)?;
    if contents.records.is_empty() && contents.failures.is_empty() {
        return Err(ExperimentError::Nothing("no run has ended yet, so that there is nothing to show".to_owned()));
    }
    let summary = summarise(&contents, cells);
    folder.make(PLOTS)?;
    folder.write("records.csv", table::records(&contents).as_bytes())?;
    #[cfg(feature = "parquet")]
    folder.write("records.parquet", &crate::columns::records(&contents))?;
    folder.write("records.jsonl", table::lines(&contents).as_bytes())?;
    folder.write("traffic.csv", table::traffic(&contents).as_bytes())?;
    folder.write("payments.csv", table::payments(&contents).as_bytes())?;
    folder.write("costs.csv", table::costs(&contents).as_bytes())?;
    folder.write(SUMMARY, json(&summary).as_bytes())?;
    folder.write("summary.md", table::markdown(&summary, &contents.experiment.show).as_bytes())?;
    folder.write(REPORT, page(&[(label(folder), summary.clone())]).as_bytes())?;
    folder.write("notebook.ipynb", notebook(&summary).as_bytes())?;
    for (name, picture) in pictures(&summary, &contents.experiment.show) {
        folder.write(&format!("{PLOTS}/{name}"), picture.as_bytes())?;
    }
    Ok(summary)
}

/// The page's file.
pub const REPORT: &str = "report.html";

/// What a run is called beside others: its folder's name.
pub fn label(folder: &Folder) -> String {
    let path = folder.path().canonicalize().unwrap_or_else(|_| folder.path().to_path_buf());
    path.file_name().map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned())
}

const PLOTS: &str = "plots";
