import LuaScripting
import RuleEngine
import Testing

/// Functions that ask the outside and wait for the answer.
@Suite struct RequestTests {
    /// Runs `body` as a handler and gives what its requests are, answered in turn, and what it published.
    private static func run(_ body: String, hosts: [String] = ["*"], answers: [ScriptAnswer] = []) -> (asked: [String], out: [String]) {
        var settings = AutomationSettings()
        settings.hosts = hosts.compactMap(HostPattern.init)
        let runtime = AutomationRuntime(settings: settings)
        let at = Instant(milliseconds: 5000)
        runtime.load(file: "a.lua", text: "automation { name = 'a' }:on_reading('t', function(r) \(body) end)", at: at)
        runtime.apply(.reading(topic: "t", payload: Array("1".utf8), isRetained: false), at: at)
        var (asked, out, left) = ([String](), [String](), answers)
        while case let effects = runtime.takeEffects(), !effects.isEmpty {
            for effect in effects {
                switch effect.kind {
                case .publish(_, let payload, _, _): out.append(String(decoding: payload, as: UTF8.self))
                case .raise(let alert):
                    let parts = [
                        "raise", alert.automation, alert.alertname, Document(alert.labels).json, Document(alert.annotations).json,
                        alert.severity ?? "-", alert.value.json, alert.id,
                    ]
                    out.append(parts.joined(separator: " "))
                case .resolve(let selection):
                    out.append("resolve \(selection.automation) \(selection.alertname ?? "-") \(Document(selection.labels).json)")
                case .hush(let request): out.append(describe(request))
                case .fault(let fault): out.append("fault \(fault.message)")
                case .request(let number, let request):
                    asked.append(describe(request))
                    if !left.isEmpty { runtime.apply(.answer(request: number, left.removeFirst()), at: at) }
                default: break
                }
            }
        }
        return (asked, out)
    }

    @Test func `variables of the rules are set, removed and refused`() {
        let (asked, out) = Self.run(
            """
            mqtt.publish("o", tostring(vars.set("armed", true)))
            mqtt.publish("o", select(2, vars.set("mode", { name = "away", hours = { 1, 2 } })))
            mqtt.publish("o", tostring(vars.set("gone", nil)))
            vars.set("null", json.null)
            mqtt.publish("o", select(2, pcall(vars.set, "", 1)))
            mqtt.publish("o", select(2, pcall(vars.get, "a\\nb")))
            mqtt.publish("o", tostring(vars.get("unknown")))
            """, answers: [.done, .failed("the store is away"), .done, .done])
        #expect(
            asked == [
                "variable armed true", #"variable mode {"hours":[1,2],"name":"away"}"#, "variable gone -", "variable null null",
            ])
        #expect(
            out == [
                "true", "the store is away", "true", "vars.set: wants a variable's name first", "vars.get: wants a variable's name", "nil",
            ])
    }

    private static func describe(_ request: HushRequest) -> String {
        switch request {
        case .acknowledge(let alert, let by, let comment, let until):
            "acknowledge \(alert) by \(by) \(comment) until \(until.map(\.description) ?? "-")"
        case .silence(let silence):
            "silence \(silence.id) \(silence.matchers.map(\.description)) until \(silence.endsAt) by \(silence.createdBy) \(silence.comment)"
        case .endSilence(let id): "end \(id)"
        }
    }

    private static func describe(_ request: ScriptRequest) -> String {
        switch request {
        case .http(let call):
            let headers = call.headers.map { " \($0.name): \($0.value)" }.joined()
            return "\(call.method) \(call.url)\(headers) \(String(decoding: call.body, as: UTF8.self)) \(call.timeout.ruleText)"
        case .query(let text): return "query \(text)"
        case .write(let point):
            return
                "write \(point.measurement) \(Document(point.tags).json) \(Document.object(point.fields).json) \(point.at.nanoseconds / 1_000_000)"
        case .setVariable(let name, let value): return "variable \(name) \(value?.json ?? "-")"
        case .setConfig(let device, let patch): return "config \(device) \(patch.json)"
        }
    }

    @Test func `alerts are acknowledged and silenced, by the name of the automation unless another is given`() {
        let (_, out) = Self.run(
            """
            alerts.acknowledge({ id = "i1" }, { comment = "known", duration = "30m" })
            alerts.acknowledge("i2", { by = "ann" })
            local id = alerts.silence { matchers = { site = "oslo", device = 7 }, duration = 90 }
            alerts.silence { matchers = { 'site=~"a|b"', "severity != critical" }, duration = "2h", comment = "works" }
            alerts.end_silence(id)
            """)
        #expect(
            out == [
                "acknowledge i1 by a known until 1970-01-01T00:30:05.000Z", "acknowledge i2 by ann  until -",
                #"silence a-5000000000-1 ["device=\"7\"", "site=\"oslo\""] until 1970-01-01T00:01:35.000Z by a "#,
                #"silence a-5000000000-2 ["site=~\"a|b\"", "severity!=\"critical\""] until 1970-01-01T02:00:05.000Z by a works"#,
                "end a-5000000000-1",
            ])
    }

    @Test func `http.get gives status, headers and body, and a failure is nil and a message`() {
        let (asked, out) = Self.run(
            """
            local r, problem = http.get("http://a/x?y=1", { headers = { ["x-key"] = "k" }, timeout = "3s" })
            mqtt.publish("o", r.status .. r.headers["content-type"] .. r.body .. tostring(problem))
            local r, problem = http.get("http://a/x")
            mqtt.publish("o", tostring(r) .. problem)
            """,
            answers: [
                .response(status: 200, headers: [("content-type", "text/plain"), ("content-type", "second")], body: Array("ü".utf8)),
                .failed("nobody is there"),
            ])
        #expect(asked == ["GET http://a/x?y=1 x-key: k  3s", "GET http://a/x  10s"])
        #expect(out == ["200text/plainünil", "nilnobody is there"])
    }

    @Test func `a table as body goes out as JSON, and request takes a method`() {
        let (asked, _) = Self.run(
            """
            http.post("https://a:8443/", { body = { n = 1, list = { 1, 2 } } })
            http.request { method = "put", url = "http://a/", body = "text" }
            """, answers: [.failed(""), .failed("")])
        #expect(
            asked == [
                #"POST https://a:8443/ content-type: application/json {"list":[1,2],"n":1} 10s"#, "PUT http://a/ text 10s",
            ])
    }

    @Test func `a host that the configuration does not name is not asked`() {
        let (asked, out) = Self.run(
            """
            local r, problem = http.get("http://evil.example/")
            mqtt.publish("o", tostring(r) .. " " .. problem)
            http.get("http://api.example.org/")
            """, hosts: ["*.example.org"])
        #expect(asked == ["GET http://api.example.org/  10s"])
        #expect(out == ["nil 'evil.example' may not be reached: the configuration does not name it (scripts.http.hosts)"])
        // A name and password in front of the host, or another scheme, are none of ours.
        #expect(Self.run(#"http.get("http://api.example.org@evil.example/")"#).out.first?.contains("must begin with http://") ?? false)
        #expect(Self.run(#"http.get("file:///etc/passwd")"#).asked.isEmpty)
    }

    @Test(arguments: [
        (#"http.get("http://a/", 5)"#, "http.get: the options must be a table: there are headers, body and timeout"),
        (#"http.get("http://a/", { retries = 1 })"#, "http.get: there is no option 'retries': there are headers, body and timeout"),
        (#"http.get("http://a/", { timeout = "2m" })"#, "http.get: 'timeout' must be a duration of at most 60 s"),
        (#"http.request { url = "http://a/", method = "BREW" }"#, "http.request: 'method' must be one of GET, POST, PUT, PATCH, DELETE"),
        (#"http.post("http://a/", { headers = { x = {} } })"#, "http.post: 'headers.x' must be a text"),
        ("influx.query('DROP MEASUREMENT m')", "influx.query: the query must be a SELECT statement"),
        ("influx.query('SELECT * FROM m; DROP MEASUREMENT m')", "influx.query: the query must be one statement"),
        ("influx.query('SELECT * /* ; */ INTO x FROM m')", "influx.query: the query only reads: it takes no INTO"),
        ("influx.write('m', {}, {})", "influx.write: wants a table of fields, at least one and at most 1000"),
        ("influx.write('m', {}, { a = 0/0 })", "influx.write: the field 'a' must be a finite number, a bool or a text"),
        ("influx.write('m', { t = 'a\\nb' }, { a = 1 })", "influx.write: names and tags must not be empty or hold control characters"),
        ("alerts.raise { labels = {} }", "alerts.raise: wants a table with 'alertname'"),
        (
            "alerts.raise { alertname = 'A', labels = { severity = 'x' } }",
            "alerts.raise: 'labels' cannot hold 'severity': it is given beside them"
        ),
        ("alerts.resolve { name = 'A' }", "alerts.resolve: there is no 'name': there are alertname and labels"),
        ("alerts.silence {}", "alerts.silence: wants 'duration', as in '2h'"),
        (
            "alerts.silence { duration = '1h' }",
            "alerts.silence: 'matchers' must be texts such as 'site=\"oslo\"', or a table of labels and values"
        ),
        (
            "alerts.silence { duration = '1h', matchers = {} }",
            "alerts.silence: 'matchers' must be texts such as 'site=\"oslo\"', or a table of labels and values"
        ),
        (
            "alerts.silence { duration = '1h', matchers = { 'a' } }",
            "alerts.silence: a matcher needs one of = != =~ !~ after the label's name: 'a'"
        ),
        ("alerts.silence { duration = 'x', matchers = { a = 'b' } }", "alerts.silence: 'duration' must be a duration, as '2h', or seconds"),
        ("alerts.silence { ends = '2h' }", "alerts.silence: there is no 'ends': there are matchers, duration, comment, by"),
        ("alerts.acknowledge {}", "alerts.acknowledge: wants an alert or its id first"),
        ("alerts.acknowledge('x', { comment = 5 })", "alerts.acknowledge: 'comment' must be a text"),
        ("alerts.acknowledge('x', 5)", "alerts.acknowledge: wants a table of options: duration, comment, by"),
        ("alerts.end_silence()", "alerts.end_silence: wants the id that alerts.silence gave"),
    ])
    func `wrong arguments are an error that says what is right`(_ body: String, _ message: String) {
        let (asked, out) = Self.run(body)
        #expect(asked.isEmpty)
        #expect(out == ["fault \(message)"])
    }

    @Test func `a query is asked as it stands, a word in quotes or a comment is none`() {
        let text = #"SELECT mean("into;") FROM "a" WHERE x = 'in\' INTO ;' -- INTO ;"#
        let (asked, out) = Self.run(
            "local rows = influx.query([[\(text)]]) mqtt.publish('o', rows[1].rows[1].mean)",
            answers: [.value([["name": "a", "tags": .emptyObject, "rows": [["time": 1.0, "mean": 2.5]]]])])
        #expect(asked == ["query \(text)"])
        #expect(out == ["2.5"])
    }

    @Test func `a point has the engine's time and what was given`() {
        let (asked, out) = Self.run(
            "mqtt.publish('o', tostring(influx.write('m', { site = 'oslo', empty = '' }, { n = 1, x = 1.5, on = true, t = 'ü' })))",
            answers: [.done])
        #expect(asked == [#"write m {"site":"oslo"} {"n":1,"on":true,"t":"ü","x":1.5} 5000"#])
        #expect(out == ["true"])
    }

    @Test func `an alert is raised and resolved under the script's name, at once`() {
        let (asked, out) = Self.run(
            """
            mqtt.publish("o", alerts.raise { alertname = "Door", labels = { device = 7 }, annotations = { summary = "open" }, severity = "high", value = 3 })
            alerts.resolve { labels = { device = "7" } }
            """)
        let id = ScriptAlert(automation: "a", alertname: "Door", labels: ["device": "7"]).id
        #expect(asked.isEmpty)
        #expect(
            out == [
                #"raise a Door {"device":"7"} {"summary":"open"} high 3 \#(id)"#, id, #"resolve a - {"device":"7"}"#,
            ])
    }

    @Test func `requests count as something put out, and cannot be made where nothing can wait`() {
        var settings = AutomationSettings()
        settings.outputsPerSecond = 1
        settings.hosts = [HostPattern("*")!]
        let flood = Stage("automation {}:on_reading('t', function() while true do http.get('http://a/') end end)", settings: settings)
        flood.reading("t", "1", at: 0)
        #expect(flood.lines.count == 11 && flood.lines.last?.contains("output rate limit") ?? false)
        let load = Stage("http.get('http://a/')", settings: settings)
        #expect(load.lines.first?.contains("http.get: only a handler can wait") ?? false)
    }
}
