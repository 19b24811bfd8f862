/// What plugins find beside the libraries of the sandbox, in Lua. (docs/plugins.md describes it.)
enum PluginLibrary {
    static let name = "the plugin library"
    static let source = #"""
        -- What every plugin finds beside the libraries of the sandbox.

        payload, topics, names, timestamp, text, channel = {}, {}, {}, {}, {}, {}
        -- What stands in an array where JSON has null.
        json.null = json.decode("[null]")[1]

        -- Payloads -----------------------------------------------------------------

        -- The payload as the decoder 'auto' reads it: what the JSON says, else the text itself.
        function payload.value(bytes)
          local at = 1
          local first = string.byte(bytes, at)
          while first == 32 or first == 9 or first == 10 or first == 13 do
            at = at + 1
            first = string.byte(bytes, at)
          end
          if not first then error("the payload is empty", 0) end
          local value, problem = json.decode(bytes)
          if not problem then return value end
          if first == 123 or first == 91 then error("the payload begins like JSON and is none", 0) end
          if not utf8.len(bytes) then error("the payload is no UTF-8", 0) end
          return bytes
        end

        -- The members of a JSON object; anything else is an error.
        function payload.object(bytes)
          local value = json.decode(bytes)
          if type(value) ~= "table" or value[1] ~= nil then error("the payload must be a JSON object", 0) end
          return value
        end

        -- Topics -------------------------------------------------------------------

        -- The levels of a topic: {"tele", "plug", "SENSOR"}.
        function topics.levels(topic)
          local levels, start = {}, 1
          while true do
            local slash = string.find(topic, "/", start, true)
            if not slash then
              levels[#levels + 1] = string.sub(topic, start)
              return levels
            end
            levels[#levels + 1] = string.sub(topic, start, slash - 1)
            start = slash + 1
          end
        end

        -- Names --------------------------------------------------------------------

        -- The name as rules can write it: 'switch:0' becomes 'switch_0'.
        function names.identifier(name)
          if not string.find(name, "[^%w_]") and not string.find(name, "^%d") then return name end
          local plain = string.gsub(name, "[^%w_]", "_")
          if string.find(plain, "^%d") then plain = "_" .. plain end
          return plain
        end

        -- A table with the names of all its members, and of theirs, as rules can write them.
        function names.identifiers(value)
          if type(value) ~= "table" or value == json.null then return value end
          local plain = {}
          for name, member in pairs(value) do
            if type(name) == "string" then name = names.identifier(name) end
            plain[name] = names.identifiers(member)
          end
          return plain
        end

        -- Time ---------------------------------------------------------------------

        -- Days since 1970-01-01 of a date of the Gregorian calendar.
        local function days(year, month, day)
          if month <= 2 then year = year - 1 end
          local era = year // 400
          local of_era = year - era * 400
          local of_year = (153 * (month + (month > 2 and -3 or 9)) + 2) // 5 + day - 1
          return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
        end

        -- Seconds since 1970 of '2024-03-22T17:54:52.358Z'; nil when it is no such text. Without a zone `offset` counts (seconds east of
        -- Greenwich), and without that there is no instant.
        function timestamp.parse(value, offset)
          if type(value) ~= "string" then return nil end
          local year, month, day, hour, minute, second, fraction, zone =
            string.match(value, "^(%d%d%d%d)%-(%d%d)%-(%d%d)[T ](%d%d):(%d%d):(%d%d)(%.?%d*)(.*)$")
          if not year then return nil end
          year, month, day = tonumber(year), tonumber(month), tonumber(day)
          hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
          if month < 1 or month > 12 or day < 1 or day > 31 or hour > 23 or minute > 59 or second > 60 then return nil end
          if zone == "Z" or zone == "z" then
            offset = 0
          elseif zone ~= "" then
            local sign, hours, minutes = string.match(zone, "^([+-])(%d%d):?(%d%d)$")
            if not sign then return nil end
            offset = (tonumber(hours) * 60 + tonumber(minutes)) * (sign == "-" and -60 or 60)
          end
          if not offset then return nil end
          local whole = days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset
          if #fraction > 1 then return whole + tonumber("0" .. fraction) end
          return whole
        end

        -- Seconds since 1970 of a number of seconds, milliseconds, microseconds or nanoseconds, told apart by size; nil when it is none.
        function timestamp.of_number(value)
          if type(value) ~= "number" or value ~= value or value <= 0 then return nil end
          if value < 1e11 then return value end
          if value < 1e14 then return value / 1e3 end
          if value < 1e17 then return value / 1e6 end
          if value < 1e20 then return value / 1e9 end
          return nil
        end

        -- Texts of notifications ---------------------------------------------------

        -- At most `limit` characters, the last of them '…' when something was cut off.
        function text.truncate(value, limit)
          local count = utf8.len(value)
          if not count then
            value = string.gsub(value, "[\128-\255]", "?")
            count = #value
          end
          if count <= limit then return value end
          return string.sub(value, 1, utf8.offset(value, limit) - 1) .. "…"
        end

        -- '[FIRING:2] FreezerTooWarm oslo', from the labels that the group has in common.
        function text.title(notification)
          local firing = 0
          for _, alert in ipairs(notification.alerts) do
            if alert.status == "firing" then firing = firing + 1 end
          end
          local labels = notification.groupLabels or {}
          local rest = {}
          for name, value in pairs(labels) do
            if name ~= "alertname" then rest[#rest + 1] = { name, value } end
          end
          table.sort(rest, function(a, b) return a[1] < b[1] end)
          local parts = { notification.status == "firing" and "[FIRING:" .. firing .. "]" or "[RESOLVED]" }
          local name = labels.alertname or (notification.commonLabels or {}).alertname
          if name then parts[#parts + 1] = name end
          for _, label in ipairs(rest) do parts[#parts + 1] = label[2] end
          return table.concat(parts, " ")
        end

        -- What one alert says of itself, in at most 500 characters: its summary, else its description, else its labels.
        function text.summary(alert)
          local annotations = alert.annotations or {}
          for _, name in ipairs { "summary", "description" } do
            local words = annotations[name]
            if words and words ~= "" then return text.truncate(words, 500) end
          end
          local labels = {}
          for name, value in pairs(alert.labels or {}) do labels[#labels + 1] = name .. "=" .. value end
          table.sort(labels)
          return text.truncate(table.concat(labels, ", "), 500)
        end

        -- A line an alert, as `format` writes it (default: 'firing: the summary'). Of more than `limit` alerts the rest is counted.
        function text.lines(notification, limit, format)
          local lines = {}
          for index, alert in ipairs(notification.alerts) do
            if index > limit then break end
            lines[index] = format and format(alert) or alert.status .. ": " .. text.summary(alert)
          end
          local more = #notification.alerts - #lines + (notification.truncatedAlerts or 0)
          if more > 0 then lines[#lines + 1] = "and " .. more .. " more" end
          return table.concat(lines, "\n")
        end

        -- The text with '&', '<' and '>' as HTML writes them.
        function text.escape_html(value)
          value = string.gsub(value, "&", "&amp;")
          value = string.gsub(value, "<", "&lt;")
          return (string.gsub(value, ">", "&gt;"))
        end

        -- The worst of 'critical', 'error', 'warning' and 'info' that firing alerts are labelled with; nil when none is.
        function text.severity(notification)
          local order = { info = 1, warning = 2, error = 3, critical = 4 }
          local worst
          for _, alert in ipairs(notification.alerts) do
            local severity = (alert.labels or {}).severity
            if order[severity] and (alert.status == "firing" or notification.status ~= "firing") then
              if not worst or order[severity] > order[worst] then worst = severity end
            end
          end
          return worst
        end

        -- Outcomes of channels -----------------------------------------------------

        -- What an answer means unless the service says otherwise: 2xx went through; 408, 429 and 5xx may go through later; everything else
        -- will not. Without an answer (`response` nil) it may go through later.
        function channel.outcome(response, problem)
          if not response then return "retry", problem or "no answer" end
          local status = response.status
          if status >= 200 and status < 300 then return "ok" end
          local said = response.body and response.body ~= "" and ": " .. text.truncate(response.body, 200) or ""
          local reason = "the service answered " .. status .. said
          if status == 408 or status == 429 or status >= 500 then
            return "retry", reason, tonumber((response.headers or {})["retry-after"])
          end
          return "reject", reason
        end
        """#
}
