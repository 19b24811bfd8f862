/// The windows that rules ask for of one source's instances: made once from the rules, shared by every instance.
public final class WindowPlan: Sendable {
    /// An expression and the windows over it. `text` identifies it over edits of the rules: state is restored where texts are equal.
    public struct Expression: Hashable, Sendable {
        public var text: String
        public var windows: [WindowSpecification]

        public init(text: String, windows: [WindowSpecification]) {
            self.text = text
            self.windows = windows
        }
    }

    /// Where a window is: its expression, and its number in the order of the expressions' `windows`.
    public struct Window: Sendable {
        public let expression: Int
        public let specification: WindowSpecification
        let track: Int
        let key: WindowTrack.Key
    }

    struct Source: Sendable {
        let identity: UInt64
        let keys: [WindowTrack.Key]
        /// Whether a decayed mean is asked for, and whether anything else is.
        let hasDecayed: Bool
        let needsHistory: Bool
    }

    public static let defaultSampleLimit = 100_000

    /// All windows, those of the first expression first.
    public let windows: [Window]
    /// How many samples an expression of an instance holds at most, at least 256.
    public let sampleLimit: Int
    let sources: [Source]

    public init(_ expressions: [Expression], sampleLimit: Int = defaultSampleLimit) {
        var windows: [Window] = []
        var sources: [Source] = []
        for (number, expression) in expressions.enumerated() {
            var keys: [WindowTrack.Key] = []
            for specification in expression.windows {
                let key = WindowTrack.Key(specification)
                let track = keys.firstIndex(of: key) ?? keys.count
                if track == keys.count { keys.append(key) }
                windows.append(Window(expression: number, specification: specification, track: track, key: key))
            }
            sources.append(
                Source(
                    identity: Self.identity(expression.text), keys: keys, hasDecayed: keys.contains { $0.kind == .decayed },
                    needsHistory: keys.contains { $0.kind != .decayed }))
        }
        self.windows = windows
        self.sources = sources
        self.sampleLimit = min(max(256, sampleLimit), Int(Int32.max / 4))
    }

    public var expressionCount: Int { sources.count }

    /// FNV-1a of 64 bits.
    private static func identity(_ text: String) -> UInt64 {
        text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
