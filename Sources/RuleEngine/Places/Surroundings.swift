public import CEL

/// Where the server is, in time, on the map and among recorded readings: what rules refer to unless they say otherwise.
public struct Surroundings: Sendable, Equatable {
    /// A circle on the map.
    public struct Zone: Sendable, Equatable {
        public var centre: GeoPoint
        /// In metres.
        public var radius: Double
        public init(centre: GeoPoint, radius: Double) {
            self.centre = centre
            self.radius = radius
        }
    }

    public var timeZone: NamedZone
    /// Of devices that have none of their own.
    public var location: GeoPoint?
    public var zones: [String: Zone]
    public var recorded: RecordedHistory
    /// How many samples the windows over one expression of an instance hold at most; older ones are held as summaries.
    public var windowSamples = WindowPlan.defaultSampleLimit

    public init(
        timeZone: NamedZone = .utc, location: GeoPoint? = nil, zones: [String: Zone] = [:], recorded: RecordedHistory = .none
    ) {
        self.timeZone = timeZone
        self.location = location
        self.zones = zones
        self.recorded = recorded
    }

    public static let unknown = Surroundings()
}
