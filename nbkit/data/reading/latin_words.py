"""Latin words with a Korean form that no rule gives: by use, by an older loan, or because they look like other words.

Chosen by what occurs in Korean film reviews, chats, news and essays. Initialisms without a vowel need no entry, nor do
those of up to three capitals, but then words of up to three capitals do (BAD).
"""

from __future__ import annotations


def _table(written: str) -> dict[str, str]:
    return dict(entry.split() for entry in written.split(","))


WORDS = {
    # initialisms, also in small letters
    **_table(
        "tv 티비,iptv 아이피티비,cctv 시시티비,ebs 이비에스,ost 오에스티,ocn 오시엔,av 에이브이,vod 브이오디,"
        "imdb 아이엠디비,ufo 유에프오,ucc 유시시,iq 아이큐,eq 이큐,ova 오브이에이,as 에이에스,tva 티브이에이,"
        "obs 오비에스,cfo 시에프오,cfe 시에프이,iaea 아이에이이에이,osce 오에스시이,usa 유에스에이,un 유엔,"
        "imf 아이엠에프,icc 아이시시,wba 더블유비에이,suv 에스유브이,url 유알엘,ux 유엑스,uhd 유에이치디,led 엘이디,"
        "lan 랜,mou 엠오유,otl 오티엘,asap 에이에스에이피,faq 에프에이큐,akb 에이케이비,jyp 제이와이피,"
        "jyj 제이와이제이,yg 와이지,yb 와이비,ydg 와이디지,kia 기아,ace 에이스,avi 에이브이아이,dmz 디엠지,"
        "usgs 유에스지에스,ixic 아이엑스아이시,dji 디제이아이,nyse 엔와이에스이,ftse 에프티에스이,gop 지오피,"
        "uaw 유에이더블유,satc 에스에이티시,exo 엑소,boa 보아,kaist 카이스트,usd 유에스디,ap 에이피,ab 에이비,"
        "gui 지유아이,es 이에스,ect 이시티,ywca 와이더블유시에이,naacp 엔에이에이시피"
    ),
    **_table(
        "cut 컷,for 포,hi 하이,no 노,oh 오,sex 섹스,to 투,top 톱,wow 와우,"
        "MAN 맨,MY 마이,GO 고,ME 미,WE 위,THE 더,AND 앤드,YOU 유,BUT 벗,BAD 배드,"
        "END 엔드,NEW 뉴,ONE 원,TWO 투,ALL 올,YES 예스,HOW 하우,SKY 스카이,FUN 펀,SAD 새드,IN 인,ON 온,BE 비,BY 바이,"
        "SO 소,UP 업,DO 두,WAR 워,CAR 카,MAP 맵,FAN 팬,TEN 텐,DAY 데이,BOY 보이,OLD 올드,RED 레드,SUN 선,SEA 시,"
        "LET 렛,GET 겟,SEE 시,SHE 시,HER 허,HIS 히즈,HIM 힘,ARE 아,WAS 워즈,HAS 해즈,CAN 캔,IF 이프,AT 앳,AN 언,"
        "HE 히,SIX 식스,KEY 키,ICE 아이스,ZOO 주,LAW 로,RUN 런,WIN 윈,JAM 잼,GUN 건,MEN 멘,FOX 폭스,FLY 플라이,"
        "DIE 다이,EYE 아이,DID 디드,BOB 밥,OZ 오즈,EAT 이트"
    ),
    # acronyms that are words
    **_table(
        "nasa 나사,unesco 유네스코,nato 나토,opec 오펙,gatt 가트,nafta 나프타,asean 아세안,afta 아프타,sars 사스,"
        "uefa 유에파,imax 아이맥스,nasd 나스닥,nasdaq 나스닥,kosdaq 코스닥,swat 스왓,ram 램,rom 롬,gif 지아이에프,"
        "jpeg 제이펙,linux 리눅스,toeic 토익,toefl 토플,pifan 피판,ikea 이케아,vip 브이아이피"
    ),
    # names
    **_table(
        "google 구글,daum 다음,kakao 카카오,kakaotalk 카카오톡,samsung 삼성,hyundai 현대,goldstar 금성,imac 아이맥,"
        "android 안드로이드,instagram 인스타그램,amazon 아마존,microsoft 마이크로소프트,windows 윈도,"
        "wikipedia 위키백과,python 파이썬,javascript 자바스크립트,nvidia 엔비디아,marvel 마블,korea 코리아,"
        "korean 코리안,seoul 서울,busan 부산,kim 김,lee 이,japan 재팬,america 아메리카,american 아메리칸,paris 파리,"
        "london 런던,michael 마이클,siemens 지멘스,mitsubishi 미쓰비시,nokia 노키아,toyota 도요타,reuters 로이터,"
        "titanic 타이타닉,hollywood 할리우드,beatles 비틀스,abba 아바,mcdonald 맥도날드,mcdonald's 맥도날드,"
        "wi-fi 와이파이,kpop 케이팝,hanmail 한메일,gmail 지메일"
    ),
    # loans whose form is fixed, and words of films and chats as they are said
    **_table(
        "good 굿,god 갓,got 갓,hot 핫,not 낫,pop 팝,doctor 닥터,hit 히트,set 세트,net 네트,out 아웃,about 어바웃,"
        "what 왓,when 웬,why 와이,where 웨어,which 위치,of 오브,dog 도그,big 빅,pig 피그,again 어게인,zero 제로,"
        "forever 포에버,club 클럽,group 그룹,shoot 슛,shot 샷,pizza 피자,piano 피아노,radio 라디오,banana 바나나,"
        "plastic 플라스틱,glass 글라스,chance 찬스,fantasy 판타지,marathon 마라톤,orchestra 오케스트라,"
        "apartment 아파트먼트,credit 크레디트,cocktail 칵테일,whisky 위스키,whiskey 위스키,blues 블루스,"
        "blouse 블라우스,news 뉴스,box 박스,data 데이터,camera 카메라,com 컴,app 앱,web 웹,log 로그,offline 오프라인,"
        "inc 인크,ctrl 컨트롤,dr 닥터,mr 미스터,mrs 미시즈,ms 미즈,vs 대,etc 등등,ver 버전,ep 에피소드,gonna 고나,"
        "bye 바이,hello 헬로,ah 아,lol 엘오엘,amour 아무르,goodgood 굿굿,ssibal 시발,marketing 마케팅,awesome 어섬,"
        "oscar 오스카,cafe 카페,ballet 발레,buffet 뷔페,genre 장르,encore 앙코르,montage 몽타주,theme 테마,"
        "allergy 알레르기,noir 누아르,collage 콜라주,t-shirt 티셔츠,hmm 흠,hm 흠,shh 쉿"
    ),
}
