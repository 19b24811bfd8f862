extension LuaWriter {
    /// What a server answered, as scripts and plugins see it: `{status, headers, body}`. Of a header that comes several times it is the first.
    func response(_ status: Int, _ headers: [(name: String, value: String)], _ body: [UInt8]) {
        object(3)
        name("status")
        int(Int64(status))
        name("headers")
        var seen = Set<String>()
        let first = headers.filter { seen.insert($0.name).inserted }
        object(first.count)
        for header in first {
            name(header.name)
            string(header.value)
        }
        name("body")
        body.withUnsafeBytes { string($0) }
    }
}
