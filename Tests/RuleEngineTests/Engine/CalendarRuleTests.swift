import CEL
import Testing

@testable import RuleEngine

/// Calendars, the sun and places in rules. The driver begins on Thursday, 1970-01-01, 00:00 UTC.
@Suite struct CalendarRuleTests {
    static let oslo = Surroundings(
        timeZone: .utc, location: GeoPoint(latitude: 59.9139, longitude: 10.7522),
        zones: ["home": .init(centre: GeoPoint(latitude: 59.9139, longitude: 10.7522)!, radius: 200)])

    @Test func `a rule is evaluated at the boundaries of a calendar function, without 'every'`() throws {
        let driver = try EngineDriver.rule("expr: open && is_between(now, '22:00', '06:00', '+01:00')")
        driver.send("d/x", "{}", at: 0)
        driver.send("t/a", #"{"open": true}"#, at: 8 * 3600)
        driver.advance(to: 40 * 3600)
        #expect(driver.log() == ["\(21 * 3600)s A(a) firing", "\(29 * 3600)s A(a) resolved"])
    }

    @Test func `'for' counts from the boundary`() throws {
        let driver = try EngineDriver.rule("expr: open && is_between(now, '22:00', '06:00')\nfor: 10m")
        driver.send("t/a", #"{"open": true}"#, at: 8 * 3600)
        driver.advance(to: 23 * 3600)
        #expect(driver.log() == ["79200s A(a) pending", "79800s A(a) firing"])
    }

    @Test func `weekdays turn at midnight, and without a zone the server's counts`() throws {
        var tokyo = Self.oslo
        tokyo.timeZone = try #require(NamedZone("Asia/Tokyo"))
        let driver = try EngineDriver(EngineDriver.yaml("expr: on && !is_weekday(now)"), surroundings: tokyo)
        driver.send("t/a", #"{"on": true}"#, at: 0)
        driver.advance(to: 6 * 86_400)
        #expect(driver.log() == ["\(39 * 3600)s A(a) firing", "\(87 * 3600)s A(a) resolved"])
    }

    @Test func `'sun.is_up' turns at sunrise and sunset of the server's place`() throws {
        let driver = try EngineDriver(EngineDriver.yaml("expr: lamp && sun.is_up"), surroundings: Self.oslo)
        driver.send("t/a", #"{"lamp": true}"#, at: 0)
        driver.advance(to: 86_400)
        let place = try #require(Self.oslo.location)
        let (rise, set) = Sun.crossings(of: Sun.horizon, after: EngineDriver.instant(0), seenFrom: place)
        #expect(driver.take().map(\.alert.changedAt) == [rise, set])
    }

    @Test func `the sun is that of the device's own place: of its document, else of its configuration, else the server's`() throws {
        let driver = try EngineDriver(EngineDriver.yaml("expr: lamp && sun.is_up"), surroundings: Self.oslo)
        let sydney = try #require(GeoPoint(latitude: -33.8688, longitude: 151.2093))
        driver.engine.setDevice("a", config: .emptyObject, location: sydney, at: EngineDriver.instant(0))
        try driver.setDevice("b", #"{"location": {"latitude": -33.8688, "longitude": 151.2093}}"#, at: 0)
        for device in ["a", "b", "c"] { driver.send("t/\(device)", #"{"lamp": true}"#, at: 1) }
        driver.advance(to: 12 * 3600)
        let log = driver.log()
        #expect(log.count == 5)
        #expect(log.prefix(2) == ["1s A(a) firing", "1s A(b) firing"])
        // Sydney's day ends while Oslo's begins.
        #expect(Set(log.suffix(3).map { $0.split(separator: "s ")[1] }) == ["A(a) resolved", "A(b) resolved", "A(c) firing"])
    }

    @Test func `a device that moves is looked at anew`() throws {
        let driver = try EngineDriver(EngineDriver.yaml("expr: lamp && sun.is_up"), surroundings: Self.oslo)
        try driver.setDevice("a", "{}", at: 0)
        driver.send("t/a", #"{"lamp": true}"#, at: 1)
        try driver.setDevice("a", #"{"location": {"latitude": -33.8688, "longitude": 151.2093}}"#, at: 2)
        #expect(driver.log() == ["2s A(a) firing"])
    }

    @Test func `without a place there is no sun, which keeps the state`() throws {
        let driver = try EngineDriver.rule("expr: lamp && sun.is_up")
        driver.send("t/a", #"{"lamp": true}"#, at: 1)
        driver.advance(to: 86_400)
        #expect(driver.log() == [])
        #expect(driver.status()?.health == .unknown)
    }

    @Test func `an elevation compared with a constant or a configured one is evaluated when the sun reaches it`() throws {
        for expression in ["sun.elevation < -6", "sun.elevation < config.dusk", "!(-6 <= sun.elevation)"] {
            let driver = try EngineDriver(EngineDriver.yaml("expr: x && \(expression)"), surroundings: Self.oslo)
            try driver.setDevice("a", #"{"dusk": -6}"#, at: 0)
            driver.send("t/a", #"{"x": true}"#, at: 12 * 3600)
            driver.advance(to: 20 * 3600)
            let place = try #require(Self.oslo.location)
            let dusk = Sun.crossings(of: -6, after: EngineDriver.instant(12 * 3600), seenFrom: place).down
            #expect(driver.take().map(\.alert.changedAt) == [dusk], "\(expression)")
        }
    }

    @Test func `the next rise and set are instants, in texts too`() throws {
        let driver = try EngineDriver(
            EngineDriver.yaml(
                "expr: sun.next_rise - sun.next_set > duration('1h') && x\nannotations: {rise: '{{ sun.next_rise }}'}"),
            surroundings: Self.oslo)
        driver.send("t/a", #"{"x": true}"#, at: 0)
        driver.advance(to: 86_400)
        // After sunrise the next set comes before the next rise.
        let place = try #require(Self.oslo.location)
        let rise = try #require(Sun.crossings(of: Sun.horizon, after: EngineDriver.instant(0), seenFrom: place).up)
        let fired = driver.take().first
        #expect(fired?.alert.changedAt == rise)
        #expect(fired?.alert.annotations["rise"]?.hasPrefix("1970-01-02T08:1") == true)
    }

    @Test func `in_zone and distance look at the reading's own place, in comprehensions too`() throws {
        let driver = try EngineDriver(
            EngineDriver.yaml("expr: \"!in_zone('home', lat, lon) && [1.0].exists(x, distance(lat, lon, 59.9139, 10.7522) > x)\""),
            surroundings: Self.oslo)
        driver.send("t/a", #"{"lat": 59.9139, "lon": 10.7522}"#, at: 0)
        driver.send("t/a", #"{"lat": 59.9139, "lon": 10.7552}"#, at: 1)
        #expect(driver.log() == [])
        driver.send("t/a", #"{"lat": 59.9139, "lon": 10.7572}"#, at: 2)
        driver.send("t/a", #"{"lat": 60, "lon": 11}"#, at: 3)
        driver.send("t/a", #"{"lat": 59.9139, "lon": 10.7523}"#, at: 4)
        #expect(driver.log() == ["2s A(a) firing", "4s A(a) resolved"])
        driver.send("t/a", #"{"lat": 91, "lon": 11}"#, at: 5)
        #expect(driver.status()?.lastError == "there is no place at latitude 91, longitude 11")
    }

    @Test func `a restored alert ends at its boundary though no reading comes`() throws {
        let yaml = EngineDriver.yaml("expr: open && is_between(now, '22:00', '06:00')")
        let before = try EngineDriver(yaml)
        before.send("t/a", #"{"open": true}"#, at: 23 * 3600)
        let records = before.take().map(\.alert)
        let after = try EngineDriver(yaml, start: nil)
        after.restore(records, at: 26 * 3600)
        after.connected(at: 26 * 3600)
        after.backlogEnded(at: 26 * 3600 + 1)
        after.advance(to: 40 * 3600)
        #expect(after.log() == ["108000s A(a) resolved"])
    }

    @Test func `a member of the payload named sun is still one`() throws {
        let driver = try EngineDriver.rule("expr: sun > 5 && payload.sun.is_up != 1")
        driver.send("t/a", #"{"sun": 6}"#, at: 0)
        #expect(driver.status()?.health != nil)
        #expect(EngineDriver.mistakes(EngineDriver.yaml("expr: sun.iz_up")) == ["unknown-name"])
    }

    @Test(arguments: [2, 7]) func `calendars make no difference to any number of shards`(_ shards: Int) throws {
        let yaml = EngineDriver.yaml("expr: open && (is_between(now, '22:00', '06:00') || sun.elevation > 2)\nfor: 30s")
        let one = try EngineDriver(yaml, surroundings: Self.oslo), many = try EngineDriver(yaml, shards: shards, surroundings: Self.oslo)
        for step in 0..<150 {
            for driver in [one, many] {
                driver.send("t/d\(step % 9)", "{\"open\": \(step % 5 != 0)}", at: Double(step) * 1300)
                driver.advance(to: Double(step) * 1300 + 700)
            }
        }
        let expected = one.take()
        #expect(expected.count > 30)
        #expect(many.take() == expected)
    }
}
