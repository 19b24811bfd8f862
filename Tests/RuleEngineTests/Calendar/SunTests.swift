import Testing

@testable import RuleEngine

/// The sun against `Data/sun-vectors.jsonl` (another program's answers, see `Data/README.md`).
@Suite struct SunTests {
    private static func instant(_ document: Document?) -> Instant? { document?.string.flatMap { Instant(rfc3339: $0) } }

    @Test func `the sun's elevation is right to a fiftieth of a degree`() throws {
        let vectors = try Fixture.lines("sun-vectors")
        #expect(vectors.count == 56)
        for vector in vectors {
            let place = try #require(GeoPoint(vector)), at = try #require(Self.instant(vector["at"]))
            let elevation = Sun.elevation(at: at, seenFrom: place)
            let expected = try #require(vector["elevation"]?.number)
            #expect((elevation - expected).magnitude < 0.02, "\(vector.json): \(elevation)")
        }
    }

    @Test func `rise and set are right to half a minute, where they come within a day`() throws {
        for vector in try Fixture.lines("sun-vectors") {
            let place = try #require(GeoPoint(vector)), at = try #require(Self.instant(vector["at"]))
            let (up, down) = Sun.crossings(of: Sun.horizon, after: at, seenFrom: place)
            for (found, expected) in [(up, Self.instant(vector["rise"])), (down, Self.instant(vector["set"]))] {
                guard let expected else { continue }
                // Near its polar day and night the sun moves almost along the horizon.
                let tolerance = place.latitude.magnitude > 65 ? 90.0 : 30.0
                let crossing = try #require(found)
                let difference = Double(crossing - expected).magnitude / 1e9
                #expect(difference < tolerance, "\(vector.json): \(crossing)")
            }
        }
    }

    @Test func `in the polar night the next rise is weeks away, and at an elevation it never reaches the sun never arrives`() throws {
        let tromso = try #require(GeoPoint(latitude: 69.6492, longitude: 18.9553))
        let christmas = try #require(Instant(rfc3339: "2026-12-24T12:00:00Z"))
        let (up, down) = Sun.crossings(of: Sun.horizon, after: christmas, seenFrom: tromso)
        let rise = try #require(up)
        #expect(rise.description.hasPrefix("2027-01-1"))
        let set = try #require(down)
        #expect(set > rise)
        #expect(Sun.elevation(at: rise, seenFrom: tromso) > Sun.horizon)
        #expect(Sun.elevation(at: rise + -1_000_000_000, seenFrom: tromso) <= Sun.horizon)
        let never = Sun.crossings(of: 80, after: christmas, seenFrom: tromso)
        #expect(never.up == nil && never.down == nil)
    }

    @Test func `what is kept of the sun's times is what is worked out anew`() throws {
        var kept = SunTimes()
        let oslo = try #require(GeoPoint(latitude: 59.9139, longitude: 10.7522))
        var random = Seeded(seed: 7)
        var at = try #require(Instant(rfc3339: "2026-01-01T00:00:00Z"))
        for _ in 0..<300 {
            at = at + Int64.random(in: 0..<20_000_000_000_000, using: &random)
            let elevation: Double = [Sun.horizon, -6.0, 10.0].randomElement(using: &random) ?? 0
            let (up, down) = kept.crossings(of: elevation, after: at, seenFrom: oslo)
            let fresh = Sun.crossings(of: elevation, after: at, seenFrom: oslo)
            #expect(up == fresh.up && down == fresh.down)
        }
    }

    @Test func `angles are right to the last digits`() {
        for degrees in stride(from: -725.0, through: 725, by: 0.37) {
            let (sine, cosine) = Angle.sineAndCosine(degrees)
            #expect((sine * sine + cosine * cosine - 1).magnitude < 1e-15)
            let back = Angle.arcTangent(sine, cosine)
            let turned = (degrees - back) / 360
            #expect((turned - turned.rounded()).magnitude < 1e-14, "\(degrees)")
        }
        #expect(Angle.sine(30) == 0.5 || (Angle.sine(30) - 0.5).magnitude < 1e-16)
        #expect(Angle.cosine(90) == 0)
        #expect((Angle.sine(1) - 0.017452406437283513).magnitude < 1e-17)
        #expect((Angle.arcSine(0.25) - 14.477512185929925).magnitude < 1e-14)
        #expect(Angle.sine(.infinity).isNaN)
    }

    @Test func `distances are along the great circle`() throws {
        func distance(_ a: (Double, Double), _ b: (Double, Double)) throws -> Double {
            let from = try #require(GeoPoint(latitude: a.0, longitude: a.1)), to = try #require(GeoPoint(latitude: b.0, longitude: b.1))
            return from.distance(to: to)
        }
        // A quarter of a meridian, half the equator, over the date line, and next door.
        #expect((try distance((0, 0), (90, 0)) - 10_007_557.2).magnitude < 1)
        #expect((try distance((0, 0), (0, 180)) - 20_015_114.4).magnitude < 1)
        #expect((try distance((0, 179.5), (0, -179.5)) - 111_195.1).magnitude < 1)
        #expect((try distance((59.9139, 10.7522), (59.9139, 10.7523)) - 5.574).magnitude < 0.01)
        #expect(try distance((10, 10), (10, 10)) == 0)
    }
}
