/// A place on the earth, in degrees, north and east positive.
public struct GeoPoint: Hashable, Sendable {
    public let latitude: Double
    public let longitude: Double

    /// Nil outside -90…90 and -180…180.
    public init?(latitude: Double, longitude: Double) {
        guard (-90...90).contains(latitude), (-180...180).contains(longitude) else { return nil }
        self.latitude = latitude
        self.longitude = longitude
    }

    /// `{latitude, longitude}`; nil when it is something else.
    public init?(_ document: Document?) {
        guard let latitude = document?["latitude"]?.number, let longitude = document?["longitude"]?.number else { return nil }
        self.init(latitude: latitude, longitude: longitude)
    }

    /// The earth's mean radius (IUGG) in metres.
    static let earthRadius = 6_371_008.8

    /// Metres along a great circle of the mean sphere; within half a percent of the ellipsoid's. (The haversine formula, exact for near places too.)
    func distance(to other: GeoPoint) -> Double {
        let north = Angle.sine((other.latitude - latitude) / 2), east = Angle.sine((other.longitude - longitude) / 2)
        let chord = north * north + Angle.cosine(latitude) * Angle.cosine(other.latitude) * east * east
        return 2 * Self.earthRadius * Angle.arcSine(chord.squareRoot()) / Angle.perRadian
    }
}
