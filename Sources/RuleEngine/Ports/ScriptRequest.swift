/// Something that a script asks for and waits until it is answered.
public enum ScriptRequest: Sendable {
    /// Change a device's own configuration by a JSON merge patch: `done`.
    case setConfig(device: String, patch: Document)
    /// Give a variable of the rules (`vars.NAME`) a value, or remove it: `done`.
    case setVariable(name: String, Document?)
    /// To a host that the configuration allows; redirects are followed to such hosts alone: `response`.
    case http(HTTPCall)
    /// One InfluxQL SELECT: `value`, a list of `{name, tags, rows}`, where rows are `{time, column…}` and time is in seconds since 1970.
    case query(String)
    /// A point for InfluxDB: `done`.
    case write(SeriesPoint)
}

/// What became of a request.
public enum ScriptAnswer: Sendable {
    case done
    case value(Document)
    /// Of HTTP: names of headers are lower case.
    case response(status: Int, headers: [(name: String, value: String)], body: [UInt8])
    /// The script gets nil and the message.
    case failed(String)
}

/// One point of a time series.
public struct SeriesPoint: Sendable, Equatable {
    public var measurement: String
    public var tags: [String: String]
    /// Numbers, bools and texts; at least one.
    public var fields: [Document.Member]
    public var at: Instant

    public init(measurement: String, tags: [String: String], fields: [Document.Member], at: Instant) {
        self.measurement = measurement
        self.tags = tags
        self.fields = fields
        self.at = at
    }
}
