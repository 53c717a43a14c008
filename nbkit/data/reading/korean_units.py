"""What may stand beside a number in Korean text: counters, units, money, signs."""

from __future__ import annotations

# --- counters. Native numerals (세 번) stand before those of NATIVE, Sino-Korean ones (삼 층) before all others.

_NATIVE = """
번째 시간 시 번 개 명 사람 마리 살 권 장 잔 병 대 달 채 척 벌 켤레 쌍 송이 그루 포기 자루 다발 봉지 상자 박스 통 컵 캔
팩 알 숟가락 스푼 큰술 작은술 그릇 접시 조각 토막 모금 방울 줄 칸 판 끼 발 발짝 걸음 바퀴 글자 자리 문장 단어 곡 팀 골
경기 게임 문제 작품 장면 과목 나라 종류 가지 군데 곳 차례 배 건 근 밤 시즌 식구 가족 자매 놈 손가락 자 정거장 꼬집 가닥
"""
_OTHER_WORDS = {  # words that begin like a counter: 3개 is 세 개, 3개월 is 삼 개월
    "시": "시즌 시리즈 시대 시민 시청 시험 시장",
    "번": "번지 번가 번길 번역 번호 번영 번방",
    "개": "개월 개국 개년 개소 개사 개교 개봉 개최 개성 개통 개그 개편 개발 개화 개인적 개인전",
    "살": "살인마 살인자 살인사 살인범 살아남 살아있",
    "권": "권리 권력 권투 권한 권위",
    "장": "장르 장애 장소 장점 장관 장기 장조 장군 장악 장난 장벽 장학",
    "잔": "잔인 잔혹 잔재 잔액 잔치 잔디",
    "병": "병사 병원 병실 병역 병신 병맛",
    "대": "대강 대양 대륙 대의문 대문파 대악 대천왕 대보험 대통령 대국회 대왕 대손 대독자 대째 대주",
    "달": "달러 달리 달걀 달성 달인",
    "채": "채널 채용 채식 채무 채팅 채점 채소 채우 채택",
    "척": "척하 척도 척추",
    "벌": "벌써 벌금 벌칙 벌레",
    "통": "통신 통일 통합 통영 통제 통역",
    "줄": "줄거 줄기",
    "판": "판사 판매 판정 판단 판타",
    "끼": "끼리",
    "발": "발표 발전 발생 발견 발언 발레",
    "곡": "곡선 곡물 곡예 곡성",
    "팀": "팀장 팀원 팀킬 팀플 팀워크",
    "배": "배우 배달 배터 배경 배급 배포 배송 배역 배속",
    "건": "건물 건강 건축 건설 건조 건전 건국",
    "골": "골프 골목 골드 골격 골수",
    "팩": "팩트 팩스",
    "알": "알바 알파 알려 알고 알았",
    "근": "근육 근거 근처 근데",
    "차": "차원 차세대",
    "자": "자녀 자전 자동 자유 자격 자체 자식 자본 자료 자기 자살 자신 자존 자연 자막 자율 자회담 자대결 자구도",
}
NATIVE_UP_TO = {"시": 12, "시간": 20, "배": 10, "자": 10}
"""Where native numerals end before 99: the clock at twelve, and 24시간 is 이십사 시간."""
_SINO = """
원 달러 유로 엔 위안 파운드 센트 분 초 층 호 회 학년 학기 차 위 순위 등 등급 급 점 세 세기 세대 주 개월 개국 개년 인
인분 퍼센트 프로 도 부 편 화 탄 단계 페이지 쪽 행 평 리 승 패 무 교시 라운드 밀리 센티 킬로 미터 제곱 세제곱 그램 톤
리터 와트 볼트 헤르츠 메가 기가 테라 바이트 비트 칼로리 인치 피트 온스 헥타르 헥토 픽셀 마이크로 나노 데시벨 피피엠
"""  # not 년, 월, 일: dates, and here durations too, are one word with their numbers (이천이십년 팔월 삼일)
_PARTICLES = """
은 는 이 가 을 를 에 의 도 만 로 으로 와 과 나 씩 째 정도 쯤 까지 부터 보다 밖 이상 이하 이내 짜리 뿐 마다 동안 전 후
뒤 반
"""


def _longest_first(words: str) -> list[str]:
    return sorted(words.split(), key=len, reverse=True)


def _but(counter: str) -> str:
    """Pattern of a counter that is not the beginning of another word."""
    others = "|".join(word[len(counter) :] for word in _OTHER_WORDS.get(counter, "").split())
    return f"{counter}(?!{others})" if others else counter


_NEAR = "|".join(map(_but, _longest_first(_NATIVE)))
_FAR = "|".join(_longest_first(_NATIVE))
# Behind a space a short counter may be the beginning of any word (3 대박), so there the word must end in it.
NATIVE = rf"(?:(?P<near>{_NEAR})| (?P<far>{_FAR})(?=$|[^가-힣]|{'|'.join(_PARTICLES.split())}))"
"""Pattern of a counter, behind a number, that takes native numerals."""
COUNTER = f"(?:{'|'.join(map(_but, _longest_first(_SINO)))}|{_NEAR})"
"""Pattern of any counter that is a word of its own."""

# --- units and signs

UNITS = {
    "km": "킬로미터", "m": "미터", "cm": "센티미터", "mm": "밀리미터", "μm": "마이크로미터", "nm": "나노미터",
    "km2": "제곱킬로미터", "m2": "제곱미터", "cm2": "제곱센티미터", "mm2": "제곱밀리미터",
    "km3": "세제곱킬로미터", "m3": "세제곱미터", "cm3": "세제곱센티미터", "mm3": "세제곱밀리미터",
    "kg": "킬로그램", "g": "그램", "mg": "밀리그램", "μg": "마이크로그램", "t": "톤",
    "L": "리터", "l": "리터", "dL": "데시리터", "dl": "데시리터", "mL": "밀리리터", "ml": "밀리리터", "kl": "킬로리터",
    "cc": "시시", "ha": "헥타르", "hPa": "헥토파스칼", "kPa": "킬로파스칼",
    "kcal": "킬로칼로리", "cal": "칼로리", "kW": "킬로와트", "kWh": "킬로와트시", "W": "와트", "MW": "메가와트",
    "V": "볼트", "kV": "킬로볼트", "mA": "밀리암페어", "mAh": "밀리암페어시",
    "Hz": "헤르츠", "kHz": "킬로헤르츠", "MHz": "메가헤르츠", "GHz": "기가헤르츠", "dB": "데시벨",
    "KB": "킬로바이트", "kB": "킬로바이트", "MB": "메가바이트", "GB": "기가바이트", "TB": "테라바이트",
    "bps": "비피에스", "kbps": "킬로비피에스", "Mbps": "메가비피에스", "Gbps": "기가비피에스",
    "ms": "밀리초", "ns": "나노초", "px": "픽셀", "ppm": "피피엠", "ft": "피트", "oz": "온스",
    "μg/m3": "마이크로그램 퍼 세제곱미터", "mg/L": "밀리그램 퍼 리터", "mg/dL": "밀리그램 퍼 데시리터",
    "°C": "도", "°": "도", "%": "퍼센트", "%p": "퍼센트포인트", "%P": "퍼센트포인트", "‰": "퍼밀",
}  # fmt: skip
AROUND = {
    "km/h": ("시속", "킬로미터"), "m/s": ("초속", "미터"), "km/s": ("초속", "킬로미터"), "°F": ("화씨", "도"),
    "km/L": ("리터당", "킬로미터"), "km/l": ("리터당", "킬로미터"),
}  # fmt: skip
"""Units of which one half is said before the number."""
MONEY = {"$": "달러", "₩": "원", "€": "유로", "£": "파운드", "¥": "엔"}
SIGNS = {
    "㈜": "주식회사 ", "№": "넘버 ", "∞": "무한대", "√": "루트 ", "±": "플러스마이너스 ", "%": "퍼센트", "‰": "퍼밀",
    "α": "알파", "β": "베타", "γ": "감마", "δ": "델타", "θ": "세타", "λ": "람다", "μ": "뮤", "π": "파이",
    "σ": "시그마", "φ": "파이", "ω": "오메가", "Δ": "델타", "Σ": "시그마", "Ω": "옴", "²": " 제곱", "³": " 세제곱",
}  # fmt: skip
