import Foundation
import RuleEngine
import Testing

/// The commands as scripts use them: exit statuses 0, 1, 2 and 3, results on standard output, everything else on standard error.
@Suite struct ServerCommandTests {
    static let broken = """
        groups:
          - name: g
            on: a/#/b
            rules:
              - alert: A
                expr: temperature >> 3
                fro: 5m
              - alert: A
                expr: 'true'
                for: 5
        """

    private func folder() throws -> TestFolder {
        let folder = try TestFolder()
        folder.write("good/rules.yaml", "groups:\n  - name: g\n    on: a/{device}\n    rules:\n      - {alert: A, expr: x > 1}\n")
        folder.write("bad.yaml", Self.broken)
        folder.write(
            "nodesphere.yaml",
            "http: {listen: '127.0.0.1:9999'}\nmqtt: {url: 'mqtt://broker:1883', password: hunter2}\nmongodb: {uri: 'mongodb://u:hunter2@db/x'}\n"
        )
        folder.write("broken/nodesphere.yaml", "mqtt: {ulr: 'mqtt://broker:1883'}\n")
        return folder
    }

    private static let statuses: [([String], Int32)] = [
        (["version"], 0), (["check", "good"], 0), (["check", "bad.yaml"], 1), (["check", "not-there.yaml"], 2),
        (["check", "--no-such-flag"], 2),
        (["no-such-command"], 2), (["config", "print"], 0), (["config", "print", "--config", "broken/nodesphere.yaml"], 2),
        (["config", "print", "--config", "not-there.yaml"], 2), (["eval", "1 + 1"], 0), (["eval", "1 +"], 1), (["eval", "1 / 0"], 1),
        (["eval"], 2), (["eval", "now > timestamp('2020-01-01T00:00:00Z')"], 0), (["eval", "avg_over_time(t, '5m')", "--var", "t=3"], 1),
        (["decode", "--topic", "a/+"], 2),
        (["eval", "x", "--var", "x"], 2), (["decode"], 2), (["decode", "--topic", "a", "--decoder", "no-such"], 2), (["--help"], 0),
        (["serve", "--http", "nonsense"], 2),
        (["serve", "--mqtt", "http://broker"], 2),
    ]

    @Test(arguments: statuses)
    func `exit statuses tell what happened`(arguments: [String], status: Int32) async throws {
        let folder = try folder()
        let result = try await run(arguments, in: folder)
        #expect(result.status == status, "\(arguments): \(result.output)\(result.errors)")
        #expect(status == 0 || !result.errors.isEmpty)
    }

    @Test(arguments: [("chek", "did you mean 'check'?"), ("frobnicate", "there are serve, check, ")])
    func `an unknown command is told with the one that was meant`(command: String, said: String) async throws {
        let result = try await run([command, "rules"], in: folder())
        #expect(result.status == 2 && result.errors.hasPrefix("error: unknown command '\(command)'") && result.errors.contains(said))
    }

    private func run(_ arguments: [String], in folder: TestFolder, input: String? = nil, environment: [String: String] = [:]) async throws
        -> Binary.Result
    {
        try await Binary.run(arguments, in: folder, input: input, environment: environment)
    }

    @Test func `check finds every mistake of a file in one run`() async throws {
        let result = try await run(["check", "bad.yaml"], in: folder())
        #expect(result.output == "checked 1 rule file: 5 errors, 0 warnings\n")
        try Golden.expect(result.errors, is: "check-bad.txt")
    }

    @Test func `check looks at tests with the rules that they name, and tells a mistake once`() async throws {
        let folder = try folder()
        folder.write(
            "good/rules.test.yaml",
            "rules: [rules.yaml]\ntests:\n  - name: t\n    readings: [{topic: a/d, at: 0s, x: 2}]\n    expect: [{at: 0s, alert: B}]\n")
        folder.write("bad/bad.yaml", Self.broken)
        folder.write(
            "bad/bad.test.yaml",
            "rules: [bad.yaml]\ntests:\n  - name: t\n    readings: [{topic: a/d, at: 0s, x: 2}]\n    expect: [{at: 0s, alert: A}]\n")
        for arguments in [["check", "good"], ["check", "good/rules.test.yaml"]] {
            let result = try await run(arguments, in: folder)
            #expect(result.status == 1)
            #expect(result.errors.contains("good/rules.test.yaml:5:30: error: no rule of this test raises 'B' [unknown-alert]"))
        }
        let result = try await run(["check", "bad"], in: folder)
        #expect(result.output == "checked 1 rule file and 1 test file: 5 errors, 0 warnings\n")
    }

    @Test func `check tells of actions that nobody offers, whatever else is wrong`() async throws {
        let folder = try folder()
        folder.write("bad/bad.yaml", Self.broken)
        folder.write(
            "bad/calls.yaml",
            """
            groups:
              - name: calls
                on: "a/{device}"
                rules:
                  - alert: Calls
                    expr: x > 1.0
                    actions: {firing: [{script: fan.dry}, {plugin: lamps.blink}]}
            """)
        let result = try await run(["check", "bad"], in: folder)
        #expect(result.output == "checked 2 rule files: 7 errors, 0 warnings\n")
        #expect(result.errors.contains("bad/calls.yaml:7:37: error: there is no automation 'fan' [unknown-action]"), "\(result.errors)")
        #expect(result.errors.contains("error: no plugin provides the action 'lamps.blink' [unknown-action]"))
        folder.write("bad/automations/fan.lua", "automation { name = 'fan' }:action('wet', function() end)")
        let other = try await run(["check", "bad"], in: folder)
        #expect(other.errors.contains("the automation 'fan' offers no action 'dry' [unknown-action]"))
    }

    /// libmongoc names its shared memory after the process; a killed one leaves it, and numbers come again.
    @Test func `what a killed process left in shared memory is not told`() async throws {
        let folder = try folder()
        let leave = ": > /dev/shm/mongoc-$$ && exec \"$0\" version"
        let child = try Child(
            "/bin/sh", ["-c", leave, Binary.path()], folder: folder.path, environment: ["PATH": "/usr/bin:/bin"],
            output: folder.path("output"), errors: folder.path("errors"))
        defer { try? FileManager.default.removeItem(atPath: "/dev/shm/mongoc-\(child.id)") }
        #expect(await child.ended() == 0)
        #expect(!folder.text("output").isEmpty && folder.text("errors").isEmpty)
    }

    @Test func `check gives one array of diagnostics for programs`() async throws {
        let result = try await run(["check", "bad.yaml", "--json"], in: folder())
        let found = try #require(try Document(json: result.output).array)
        #expect(found.compactMap { $0["line"]?.int } == [3, 6, 7, 8, 10])
        for diagnostic in found {
            #expect(diagnostic.members?.map(\.name) == ["file", "line", "column", "severity", "code", "message", "hint"])
            #expect(diagnostic["severity"]?.string == "error" && diagnostic["file"]?.string == "bad.yaml")
        }
    }

    @Test func `config print shows where each value comes from, and hides secrets`() async throws {
        let folder = try folder()
        folder.write("password", "hunter2\n")
        let environment = [
            "NODESPHERE_LOG_LEVEL": "debug", "NODESPHERE_AMQP_URL": "amqp://u:hunter2@mq/", "NODESPHERE_NO_SUCH_THING": "1",
            "NODESPHERE_MQTT_PASSWORD_FILE": folder.path("password"),
        ]
        let result = try await run(["config", "print"], in: folder, environment: environment)
        #expect(result.status == 0)
        try Golden.expect(result.output, is: "config-print.txt")
        #expect(result.errors.contains("NODESPHERE_NO_SUCH_THING"))
        let json = try await run(["config", "print", "--json"], in: folder, environment: environment)
        #expect(try Document(json: json.output)["mqtt.url"]?["value"]?.string == "mqtt://broker:1883")
        #expect(!(result.output + result.errors + json.output + json.errors).contains("hunter2"))
    }

    @Test(arguments: [
        ("reload: later", "'scripts.reload' must be finish or cancel, not 'later'"),
        ("memory: 1KiB", "'scripts.memory' must be at least 256KiB, not '1KiB'"),
        ("memory: much", "'scripts.memory' must be a size, such as 2GiB, not 'much'"),
        ("wall_time: 0", "'scripts.wall_time' must be at least 10ms, not '0'"),
        ("waiting: -1", "'scripts.waiting' must be a whole number above 0, not '-1'"),
        ("{rest: 2h}", "'scripts.longest_rest' must be at least 'scripts.rest' (2h), not '1h'"),
        (
            "http: {hosts: [a.example, 'http://b']}",
            "'scripts.http.hosts' must be hosts such as api.example.org, *.example.org or localhost:8080"
        ),
        ("http: {hosts: [{a: b}]}", "'scripts.http.hosts' must be a list of texts"),
        ("http: {host: a}", "unknown setting 'scripts.http.host'"),
    ])
    func `a mistake in the limits of scripts is told`(_ setting: String, _ message: String) async throws {
        let folder = try folder()
        folder.write("nodesphere.yaml", "scripts:\n  \(setting)\n")
        let result = try await run(["config", "print"], in: folder)
        #expect(result.status == 2)
        #expect(result.errors.contains(message), "\(result.errors)")
    }

    @Test func `hosts of scripts are a list in the file, or a text with commas`() async throws {
        let folder = try folder()
        folder.write("nodesphere.yaml", "scripts:\n  http:\n    hosts: [a.example, '*.b.example']\n")
        #expect(try await run(["config", "print"], in: folder).output.contains("a.example, *.b.example"))
        let given = try await run(["config", "print"], in: folder, environment: ["NODESPHERE_SCRIPTS_HTTP_HOSTS": "c.example,d:80"])
        #expect(given.output.contains("c.example,d:80"))
    }

    private static let payloads: [(payload: String, more: [String], status: Int32, wanted: String?)] = [
        (#"{"a": {"b": [1, 2.5]}, "on": true}"#, [], 0, #"{"fields":{"a":{"b":[1,2.5]},"on":true},"captures":{},"time":null}"#),
        ("23.4", [], 0, #"{"fields":{"value":23.4},"captures":{},"time":null}"#),
        ("ON", [], 0, #"{"fields":{"value":"ON"},"captures":{},"time":null}"#),
        ("[1,2]", [], 0, #"{"fields":{"value":[1,2]},"captures":{},"time":null}"#),
        ("f1", ["--on", "a/{device}"], 0, #"{"fields":{"value":"f1"},"captures":{"device":"b"},"time":null}"#),
        (
            #"{"meta": {"at": 1764090000.5}}"#, ["--time-field", "meta.at"], 0,
            #"{"fields":{"meta":{"at":1764090000.5}},"captures":{},"time":"2025-11-25T17:00:00.500Z"}"#
        ),
        (#"{"at": "soon"}"#, ["--time-field", "at"], 0, #"{"fields":{"at":"soon"},"captures":{},"time":null}"#),
        ("{", [], 1, nil), ("fffe", ["--hex"], 1, nil),
    ]

    @Test(arguments: payloads)
    func `decode shows what rules would see`(payload: String, more: [String], status: Int32, wanted: String?) async throws {
        let result = try await run(["decode", "--topic", "a/b", "--json"] + more, in: folder(), input: payload)
        #expect(result.status == status, "\(result.errors)")
        let answer = try Document(json: result.output)
        if let wanted {
            #expect(try answer == Document(json: wanted), "\(result.output)")
        } else {
            #expect(answer["error"]?.string?.isEmpty == false)
        }
    }

    @Test func `decode names members as expressions do`() async throws {
        let payload = #"{"t": 1, "time": 2, "AM2301-14": 3, "b": 4, "in": 5}"#
        let result = try await run(["decode", "--topic", "a/x", "--on", "a/{b}"], in: folder(), input: payload)
        #expect(result.output == "b = \"x\"\nt = 1\npayload.time = 2\npayload.`AM2301-14` = 3\npayload.b = 4\npayload.`in` = 5\n")
    }

    @Test func `a reading that no handler listens to is said`() async throws {
        let folder = try folder()
        folder.write("a.lua", "automation {}:on_reading('t/{x}', function(r) mqtt.publish('seen', r.x) end)")
        let result = try await run(["lua", "run", "a.lua", "--reading", "u/1 5", "--reading", "t/2 5"], in: folder)
        #expect(result.status == 0 && result.output.contains("seen"))
        #expect(result.errors == "note: nothing listens to 'u/1'; there are handlers for 't/+'\n")
    }

    @Test func `what is typed sees a script and the readings that came`() async throws {
        let folder = try folder()
        folder.write(
            "a.lua", "count = 0 automation {}:on_reading('t/{x}', function(r) count = count + r.value mqtt.publish('seen', r.x) end)")
        let typed = "count\n< t/b 7\ncount, mqtt.latest('t/b').value\n< u 1\n<\nvars.get('x')\n"
        let result = try await run(["lua", "repl", "a.lua", "--reading", "t/a 5"], in: folder, input: typed)
        let seen = ["a", "b"].map { #"publish {"topic":"seen","payload":"\#($0)"}"# }
        #expect(result.output == "\(seen[0])\n5\n\(seen[1])\n12\t7\nnil\n")
        #expect(result.errors == "note: nothing listens to 'u'; there are handlers for 't/+'\nerror: '< TOPIC PAYLOAD' is a reading\n")
        let alone = try await run(["lua", "repl", "--reading", #"t/a {"n": 5}"#], in: folder, input: "mqtt.latest('t/a').n + 1\n")
        #expect(alone.output == "6\n" && alone.errors.isEmpty)
    }

    @Test func `scripts see and set variables, and rules see what they set`() async throws {
        let folder = try folder()
        folder.write(
            "r/a.lua",
            """
            automation { name = "a" }:on_reading("keypad", function()
              mqtt.publish("limit", vars.get("limit") .. " " .. tostring(vars.get("armed")))
              vars.set("armed", not vars.get("armed"))
            end)
            """)
        folder.write(
            "r/g.yaml",
            """
            groups:
              - name: g
                on: house/{room}
                rules:
                  - alert: Intruder
                    expr: vars.armed && motion
            """)
        folder.write(
            "r/a.test.yaml",
            """
            rules: [g.yaml]
            automations: [a.lua]
            vars: {limit: 5, armed: false}
            tests:
              - name: t
                changes: [{at: 4s, vars: {limit: 7}}]
                readings:
                  - {topic: keypad, at: 1s, payload: "1"}
                  - {topic: house/hall, at: 2s, motion: true}
                  - {topic: keypad, at: 5s, payload: "1"}
                expect:
                  - {at: 1s, published: [{topic: limit, payload: "5 false"}]}
                  - {at: 2s, alert: Intruder, state: firing}
                  - {at: 5s, published: [{topic: limit, payload: "7 true"}]}
                  - {at: 5s, alert: Intruder, state: inactive}
            """)
        let result = try await run(["test", "r"], in: folder)
        #expect(result.status == 0, "\(result.output)\(result.errors)")
    }

    @Test func `eval says which functions only rules have`() async throws {
        let result = try await run(["eval", "avg_over_time(t, '5m') > 3", "--var", "t=3"], in: folder())
        #expect(result.errors.contains("'avg_over_time' looks at an instance of a rule, and 'eval' has none [needs-instance]"))
    }

    @Test func `eval explains every part of an expression`() async throws {
        let result = try await run(
            [
                "eval", "temperature > limit + 2 && state == 'ON'", "--explain", "--var", "temperature=31.5", "--var", "limit=25", "--var",
                #"state="OFF""#,
            ],
            in: folder())
        #expect(result.status == 0 && result.output == "false\n")
        try Golden.expect(result.errors, is: "eval-explain.txt")
    }

    @Test func `eval points into expressions of several lines, whatever ends them`() async throws {
        for end in ["\n", "\r\n"] {
            let result = try await run(["eval", "t > 1 &&\(end)  'größe' == 1 &&\(end)  'ä' == tt", "--var", "t=3"], in: folder())
            #expect(result.status == 1)
            try Golden.expect(result.errors, is: "eval-lines.txt")
        }
    }

    @Test func `eval warns, writes values as they are, and places errors`() async throws {
        let warned = try await run(["eval", "9 / 5"], in: folder())
        #expect(warned.status == 0 && warned.output == "1\n" && warned.errors.contains("[integer-division]"))
        #expect(try await run(["eval", "18446744073709551615u"], in: folder()).output == "18446744073709551615\n")
        #expect(try await run(["eval", #"b'\xff'"#], in: folder()).output == "\"/w==\"\n")
        let failed = try await run(["eval", "1 + int('x')"], in: folder())
        #expect(failed.status == 1 && failed.errors.hasPrefix("<expression>:1:5: error: not the text of an int [conversion]"))
    }

    @Test func `eval takes variables by qualified names, the last one given twice`() async throws {
        let folder = try folder()
        folder.write("values.yaml", "t: 20\nroom: {t: 21, h: 40}\n")
        func value(_ expression: String, _ arguments: String...) async throws -> String {
            let result = try await run(["eval", expression, "--vars", "values.yaml"] + arguments, in: folder)
            return result.output + result.errors
        }
        #expect(try await value("t") == "20\n")
        #expect(try await value("t", "--var", "t=30") == "30\n")
        #expect(try await value("room.t + room.h", "--var", "room.t=5") == "45\n")
        #expect(try await value("a.b.c[0] + t", "--var", "a.b.c=[1]") == "21\n")
        #expect(try await value("has(a.b) && !has(room.x)", "--var", "a.b=1") == "true\n")
    }

    @Test(arguments: [
        (["eval", "-5 % 3"], "-2\n"), (["eval", "-x", "--var", "x=3"], "-3\n"), (["eval", "--var", "x=3", "--strict", "-x"], "-3\n"),
        (["eval", "--", "-5"], "-5\n"),
    ])
    func `an expression may begin with a minus`(arguments: [String], expected: String) async throws {
        let result = try await run(arguments, in: folder())
        #expect(result.output == expected, "\(result.errors)")
    }

    @Test func `eval points at what is wrong`() async throws {
        let result = try await run(["eval", "temperatur > 30", "--var", "temperature=31.5"], in: folder())
        #expect(result.status == 1 && result.output.isEmpty)
        try Golden.expect(result.errors, is: "eval-unknown-name.txt")
    }
}

/// Recorded outputs; `RECORD=1` records them anew.
enum Golden {
    static func expect(_ text: String, is name: String, _ location: Testing.SourceLocation = #_sourceLocation) throws {
        let path = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/\(name)")
        if ProcessInfo.processInfo.environment["RECORD"] == "1" {
            try FileManager.default.createDirectory(at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
            try text.write(to: path, atomically: true, encoding: .utf8)
        }
        #expect(try text == String(contentsOf: path, encoding: .utf8), sourceLocation: location)
    }
}
