import HTTPTypes

extension HTTPField.Name {
    // Names of letters and hyphens are always legal, so that these are never nil.
    static let acceptPatch = Self("Accept-Patch")!
    static let secFetchSite = Self("Sec-Fetch-Site")!
}
