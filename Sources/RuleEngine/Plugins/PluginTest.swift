/// One test of a plugin's `*.test.yaml`.
public struct PluginTest: Sendable {
    /// A message for a decoder.
    public struct Message: Sendable {
        public var topic: String
        public var payload: [UInt8]
        public init(topic: String, payload: [UInt8]) {
            self.topic = topic
            self.payload = payload
        }
    }
    public enum DecodeExpectation: Sendable {
        /// Exactly these fields; without a time the decoder must find none.
        case fields(Document, time: Instant?)
        case ignored
        /// A part of the reason.
        case error(String)
    }
    public enum ValueExpectation: Sendable {
        case value(Document, within: Double)
        case error(String)
    }
    /// A request that must be sent, and the answer it gets.
    public struct Exchange: Sendable {
        public var method: String
        public var url: String
        /// These must be there; others may.
        public var headers: [(name: String, value: String)]
        /// Exactly this body, as JSON or as text.
        public var json: Document?
        public var body: String?
        public var reply: HTTPReply
        public var location: SourceLocation

        public init(method: String, url: String, reply: HTTPReply, location: SourceLocation) {
            self.method = method
            self.url = url
            self.reply = reply
            self.location = location
            headers = []
        }
    }
    public enum OutcomeExpectation: Sendable {
        case ok
        case retry(String, after: Duration?)
        case reject(String)
    }
    public struct Delivery: Sendable {
        public var channel: String
        public var values: PluginValues
        public var notification: Document
        public var exchanges: [Exchange]
        public var outcome: OutcomeExpectation

        public init(channel: String, values: PluginValues, notification: Document, exchanges: [Exchange], outcome: OutcomeExpectation) {
            self.channel = channel
            self.values = values
            self.notification = notification
            self.exchanges = exchanges
            self.outcome = outcome
        }
    }
    public struct Publication: Sendable {
        public var topic: String
        public var payload: String
        public init(topic: String, payload: String) {
            self.topic = topic
            self.payload = payload
        }
    }
    public struct Action: Sendable {
        public var name: String
        public var alert: Document
        public var arguments: Document
        public var exchanges: [Exchange]
        public var publications: [Publication]
        public var outcome: OutcomeExpectation

        public init(
            name: String, alert: Document, arguments: Document, exchanges: [Exchange], publications: [Publication],
            outcome: OutcomeExpectation
        ) {
            self.name = name
            self.alert = alert
            self.arguments = arguments
            self.exchanges = exchanges
            self.publications = publications
            self.outcome = outcome
        }
    }
    public enum Kind: Sendable {
        case decode(decoder: String, before: [Message], message: Message, expect: DecodeExpectation)
        case evaluate(expression: String, expect: ValueExpectation)
        case deliver(Delivery)
        case act(Action)
    }

    public var name: String
    public var location: SourceLocation
    /// The plugin's settings in this test.
    public var settings: PluginValues
    public var kind: Kind

    public init(name: String, location: SourceLocation, settings: PluginValues, kind: Kind) {
        self.name = name
        self.location = location
        self.settings = settings
        self.kind = kind
    }

    /// The example of a function, which is a test too.
    public init?(exampleOf provision: PluginManifest.Provision, settings: PluginValues) {
        guard let example = provision.signature?.example else { return nil }
        self.init(
            name: "the example of \(provision.name)", location: example.location, settings: settings,
            kind: .evaluate(expression: example.expression, expect: .value(example.value, within: example.within)))
    }
}
