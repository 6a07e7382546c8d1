//! What the client asks of overlays.

use reqwest::Method;
use synod_machine::Bytes;

use super::{Client, ClientError, unanswered};
use crate::api::types::{
    FetchRequest, FindAnswer, FindRequest, ItemInfo, LookupAnswer, LookupRequest, NewItem, OverlaysInfo,
};

impl Client {
    /// `GET /v1/overlays`. The node takes part in none: an [`ApiError`](super::ApiError) with `no_overlay`.
    pub async fn overlays(&self) -> Result<OverlaysInfo, ClientError> {
        self.read("/v1/overlays", &()).await
    }

    /// `POST /v1/find`.
    pub async fn find(&self, request: &FindRequest) -> Result<FindAnswer, ClientError> {
        self.ask(Method::POST, "/v1/find", |call| call.json(request)).await
    }

    /// `POST /v1/lookup`.
    pub async fn lookup(&self, request: &LookupRequest) -> Result<LookupAnswer, ClientError> {
        self.ask(Method::POST, "/v1/lookup", |call| call.json(request)).await
    }

    /// `POST /v1/fetch`: the content, checked against its hash by the node, and the peer id of who gave it.
    pub async fn fetch(&self, request: &FetchRequest) -> Result<(Vec<u8>, String), ClientError> {
        let path = "/v1/fetch";
        let call = self.http.post(self.url(path)).timeout(self.timeout).json(request);
        let response = self.send(call, path).await?;
        let holder = response.headers().get("synod-holder").and_then(|holder| holder.to_str().ok());
        let holder = holder.unwrap_or_default().to_owned();
        let content = response.bytes().await.map_err(|error| unanswered(self.url(path), &error))?;
        Ok((content.to_vec(), holder))
    }

    /// `GET /v1/items`.
    pub async fn items(&self) -> Result<Vec<ItemInfo>, ClientError> {
        self.read("/v1/items", &()).await
    }

    /// `POST /v1/items`. When it returns `Ok`, the content is on the node's disk.
    pub async fn add_item(&self, new: &NewItem, content: Vec<u8>) -> Result<ItemInfo, ClientError> {
        self.ask(Method::POST, "/v1/items", |call| call.query(new).body(content)).await
    }

    /// `GET /v1/items/{hash}`.
    pub async fn item(&self, hash: &Bytes<32>) -> Result<Vec<u8>, ClientError> {
        let path = format!("/v1/items/{hash}");
        let response = self.send(self.http.get(self.url(&path)).timeout(self.timeout), &path).await?;
        let content = response.bytes().await.map_err(|error| unanswered(self.url(&path), &error))?;
        Ok(content.to_vec())
    }

    /// `DELETE /v1/items/{hash}`.
    pub async fn remove_item(&self, hash: &Bytes<32>) -> Result<(), ClientError> {
        let path = format!("/v1/items/{hash}");
        self.send(self.http.delete(self.url(&path)).timeout(self.timeout), &path).await.map(drop)
    }
}
