/// Keeps web pages away from an interface that trusts everybody on this machine.
///
/// A browser on the machine can be made to send requests here by any page it shows. Two things tell them apart: a page that let its own name resolve to
/// 127.0.0.1 (DNS rebinding) sends that name as Host; a page of another origin sends its Origin with whatever changes something.
enum RequestOrigin {
    /// - Parameters:
    ///   - authority: the Host header.
    ///   - changes: whether the request may change something.
    static func refusal(authority: String?, origin: String?, fetchSite: String?, changes: Bool) -> Problem? {
        guard let authority, !authority.isEmpty else { return .invalid("a request must have a Host header") }
        guard Loopback(host(of: authority)) != nil else {
            return Problem(
                .misdirected,
                "this server answers for localhost, 127.0.0.1 and [::1] only, not for '\(authority.prefix(255))': \(HTTPAddress.whyLoopback)"
            )
        }
        guard changes else { return nil }
        if let origin, origin.lowercased() != "http://" + authority.lowercased() {
            return Problem(.crossOrigin, "a page of another origin ('\(origin.prefix(255))') may not change anything here")
        }
        if fetchSite?.lowercased() == "cross-site" { return Problem(.crossOrigin, "a page of another site may not change anything here") }
        return nil
    }

    /// The host of `host[:port]`, an IPv6 address with its brackets.
    private static func host(of authority: String) -> Substring {
        if authority.utf8.first == UInt8(ascii: "["), let end = authority.utf8.firstIndex(of: UInt8(ascii: "]")) {
            let rest = authority[authority.index(after: end)...]
            return rest.isEmpty || rest.utf8.first == UInt8(ascii: ":") ? authority[...end] : ""
        }
        return authority.prefix { $0 != ":" }
    }
}
