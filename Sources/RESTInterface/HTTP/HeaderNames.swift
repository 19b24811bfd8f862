import HTTPTypes

extension HTTPField.Name {
    // Names of letters and hyphens are always legal, so that these are never nil.
    static let acceptPatch = Self("Accept-Patch")!
    /// Among the fields only when a request has a second one: the first is `HTTPRequest.authority`.
    static let secondHost = Self("Host")!
    static let secFetchSite = Self("Sec-Fetch-Site")!
}
