/// One test of rules in virtual time: what happens when, and what is expected of it. All times are nanoseconds since the test's start.
public struct RuleTest: Sendable {
    public var name: String
    public var location: SourceLocation
    public var start = Instant(nanoseconds: 0)
    /// What holds at the start, by device and by variable.
    public var initial: [TestChange] = []
    public var readings: [TestReadings] = []
    public var changes: [TestChange] = []
    /// What queries are answered.
    public var answers: [TestAnswer] = []
    /// What scripts are answered.
    public var replies: [TestReply] = []
    public var expectations: [TestExpectation] = []

    public init(name: String, location: SourceLocation) {
        self.name = name
        self.location = location
    }
}

/// Messages on one topic at equal intervals.
public struct TestReadings: Sendable {
    public enum Content: Sendable {
        /// The same bytes every time.
        case payload([UInt8])
        /// A JSON object whose members change from reading to reading.
        case fields([TestField])
    }

    public var topic: String
    public var at: Int64
    /// Between one and the next; 0 for a single one.
    public var interval: Int64
    public var content: Content
    public var isRetained: Bool

    public init(topic: String, at: Int64, interval: Int64 = 0, content: Content, isRetained: Bool = false) {
        self.topic = topic
        self.at = at
        self.interval = interval
        self.content = content
        self.isRetained = isRetained
    }

    /// How many instants there are at which one may come.
    public var count: Int {
        guard case .fields(let fields) = content, interval > 0 else { return 1 }
        return fields.map(\.count).max() ?? 0
    }
}

/// A member of a payload.
public struct TestField: Sendable {
    public indirect enum Content: Sendable {
        case series(TestSeries)
        case members([TestField])
        /// Carried by every reading whose other members have a sample.
        case constant(Document)
    }
    public var name: String
    public var content: Content

    public init(_ name: String, _ content: Content) {
        self.name = name
        self.content = content
    }

    var count: Int {
        switch content {
        case .series(let series): series.count
        case .members(let members): members.map(\.count).max() ?? 0
        case .constant: 1
        }
    }
}

/// A change from outside.
public struct TestChange: Sendable {
    public enum Kind: Sendable {
        /// Without a configuration: it is removed.
        case device(id: String, config: Document?, labels: [String: String], location: GeoPoint? = nil)
        /// Without a value: it is removed.
        case variable(name: String, Document?)
    }
    public var at: Int64
    public var kind: Kind

    public init(at: Int64, _ kind: Kind) {
        self.at = at
        self.kind = kind
    }
}

/// What is to be at an instant, after everything that happens at it.
public struct TestExpectation: Sendable {
    public enum Kind: Sendable {
        case alert(ExpectedAlert)
        /// Of the receivers that are named, these and no others; an empty list: of no receiver any.
        case notifications([ExpectedNotification])
        /// To the topics that are named, these and no others; an empty list: none at all.
        case published([ExpectedMessage])
        /// Of scripts, to the addresses that are named, these and no others; an empty list: none at all.
        case requests([ExpectedRequest])
        /// Of scripts, into the measurements that are named, these and no others; an empty list: none at all.
        case written([ExpectedPoint])
        /// Members that an automation's `state` has at least; null: that it has not.
        case state(automation: String, Document)
    }
    public var at: Int64
    public var location: SourceLocation
    public var kind: Kind

    public init(at: Int64, location: SourceLocation, _ kind: Kind) {
        self.at = at
        self.location = location
        self.kind = kind
    }
}

public struct ExpectedAlert: Sendable {
    public enum State: String, Sendable, CaseIterable {
        /// Any but inactive and resolved.
        case active
        /// Recovering counts as firing.
        case inactive, pending, firing, recovering, resolved, nodata
    }
    public var alert: String
    /// Where the alert's name stands.
    public var location: SourceLocation
    public var group: String?
    public var state = State.active
    /// Labels and annotations that it has at least.
    public var labels: [String: String] = [:]
    public var annotations: [String: String] = [:]
    public var level: String?
    public var value: Document?
    /// How many there are; nil: at least one.
    public var count: Int?

    public init(_ alert: String, at location: SourceLocation) {
        self.alert = alert
        self.location = location
    }
}

public struct ExpectedNotification: Sendable {
    public struct Alert: Sendable {
        public var status: String?
        public var labels: [String: String]
        public var annotations: [String: String]

        public init(status: String? = nil, labels: [String: String] = [:], annotations: [String: String] = [:]) {
            self.status = status
            self.labels = labels
            self.annotations = annotations
        }
    }
    public var receiver: String
    public var location: SourceLocation
    public var status: String?
    /// Exactly these, in any order; nil: whatever it holds.
    public var alerts: [Alert]?

    public init(receiver: String, at location: SourceLocation, status: String? = nil, alerts: [Alert]? = nil) {
        self.receiver = receiver
        self.location = location
        self.status = status
        self.alerts = alerts
    }
}

public struct ExpectedRequest: Sendable {
    public var method: String?
    public var url: String
    /// Headers that it has at least.
    public var headers: [String: String]
    /// Compared as JSON where it is JSON.
    public var body: String?

    public init(method: String? = nil, url: String, headers: [String: String] = [:], body: String? = nil) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
    }
}

public struct ExpectedPoint: Sendable {
    public var measurement: String
    /// Tags and fields that it has at least.
    public var tags: [String: String]
    public var fields: Document

    public init(measurement: String, tags: [String: String] = [:], fields: Document = .emptyObject) {
        self.measurement = measurement
        self.tags = tags
        self.fields = fields
    }
}

public struct ExpectedMessage: Sendable {
    public var topic: String
    /// Compared as JSON where it is JSON.
    public var payload: String?
    public var qos: Int?
    public var retain: Bool?

    public init(topic: String, payload: String? = nil, qos: Int? = nil, retain: Bool? = nil) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
    }
}
